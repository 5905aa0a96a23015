#!/usr/bin/env python3
"""posetape as several processes: ranks_test.py PATH_OF_POSETAPE CUDA

Under each MPI that there is a module for, with its mpirun: that weights, checkpoints, logs and refined
poses are equal to the bit for 1, 2, 4 and 8 ranks, and what happens where one rank fails. Skipped
(exit code 77) where there is none, and without numpy.
"""

import hashlib
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

POSETAPE = None
CUDA = None
WORK = None

NETWORK = "--frames 9 --width 16 --heads 2 --batch 9 --depth 1".split()
EPOCHS = ["--epochs", "2"]
# As root, on more ranks than cores, with nothing but this host.
LAUNCHERS = {
    "openmpi": "mpirun.openmpi --allow-run-as-root --oversubscribe --mca btl self,vader".split(),
    "openmpi over TCP": """mpirun.openmpi --allow-run-as-root --oversubscribe --mca btl self,tcp
                           --mca btl_tcp_if_include lo""".split(),
    "mpich": ["mpirun.mpich"],
}


def launchers():
    """Those whose mpirun and module are here."""
    modules = Path(POSETAPE).parent.parent / "engine"
    return {
        name: command
        for name, command in LAUNCHERS.items()
        if shutil.which(command[0]) and (modules / f"posetape_{name.split()[0]}.so").exists()
    }


def run(*arguments, ranks=None, launcher=None, expect=0, timeout=120, environment={}):
    """Standard output and standard error of posetape, alone or on so many ranks."""
    command = [POSETAPE, *map(str, arguments)]
    if ranks:
        command = [*launcher, "-n", str(ranks), *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL, env={**os.environ, **environment})
    assert (done.returncode == 0) == (expect == 0), (
        f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    )
    return done.stdout, done.stderr


def ours(error):
    """Of standard error the lines that are not the launcher's."""
    return [line for line in error.splitlines() if line.startswith("posetape: ")]


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def made(output):
    """What a training leaves: hashes of its checkpoints, and its log without times."""
    output = Path(output)
    times = ("seconds", "sequences_per_second", "frames_per_second")
    log = [json.loads(line) for line in output.with_suffix(".log.jsonl").read_text().splitlines()]
    lines = [{k: v for k, v in line.items() if k not in times} for line in log]
    return digest(output), digest(output.with_suffix(".last.safetensors")), json.dumps(lines)


def sent_and_formula(out):
    """The bytes that a step sent, and those that it should have, of a training's standard output."""
    line = next(line for line in out.splitlines() if "by the formula" in line)
    words = line.replace(")", "").replace(",", "").split()
    return int(words[words.index("sent") + 1]), int(words[words.index("formula") + 1])


class TwoHosts:
    """Two network namespaces that reach each other, with names of their own; `launcher` starts ranks on
    both. Raises OSError where this user can't have some."""

    def __init__(self, folder):
        self.names = [f"posetape{os.getpid()}{end}" for end in "ab"]
        first, second = self.names
        try:
            for name in self.names:
                self.ip("netns", "add", name)
            self.ip("link", "add", "there", "netns", first, "type", "veth", "peer", "name", "there",
                    "netns", second)
            for number, name in enumerate(self.names, 1):
                self.ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", "there")
                for device in ("lo", "there"):
                    self.ip("-n", name, "link", "set", device, "up")
        except OSError:
            self.close()
            raise
        inside = "ip netns exec {0} unshare --uts sh -c 'hostname {0}; exec \"$@\"' {0} "
        agent = Path(folder) / "agent.sh"
        agent.write_text(f"#!/bin/sh\nshift\nexec {inside.format(second)} sh -c \"$*\"\n")
        agent.chmod(0o755)
        self.launcher = [
            *shlex.split(inside.format(first)), *LAUNCHERS["openmpi over TCP"][:3],
            *f"--mca plm_rsh_agent {agent} --mca btl self,tcp".split(),
            "--host", "10.77.0.1:1,10.77.0.2:1",
        ]  # fmt: skip

    @staticmethod
    def ip(*arguments):
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
        if done.returncode != 0:
            raise OSError(done.stderr)

    def close(self):
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


class Ranks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.data = WORK / "data.npz"
        run("prepare", "synthetic", "-o", cls.data, "--people", 4, "--takes", 1, "--seconds", 1,
            "--cameras", "0,1")
        run("train", "lifter", cls.data, "-o", WORK / "lifter.safetensors", *NETWORK, *EPOCHS)
        cls.lifted = WORK / "lifted.npz"
        run("lift", WORK / "lifter.safetensors", cls.data, "-o", cls.lifted)

    def trained(self, kind, *options, ranks=None, launcher=None, source=None, name="net"):
        folder = Path(tempfile.mkdtemp(dir=WORK))
        output = folder / f"{name}.safetensors"
        network = NETWORK[:-2] if "--depth" in options else NETWORK
        if "--batch" in options:
            network = "--frames 9 --heads 2 --depth 1".split()
        epochs = [] if "--epochs" in options else EPOCHS
        run("train", kind, source or self.lifted, "-o", output, *network, *epochs, *options,
            ranks=ranks, launcher=launcher)
        return output

    def test_trainings_are_equal_for_any_number_of_ranks(self):
        forward = "--states forward --error-source mixed".split()
        cases = [
            ("refiner", [], self.lifted),
            ("refiner", ["--precision", "bf16", *forward, "--noise", "ar1"], self.lifted),
            ("lifter", "--model mixste --depth 2 --drop-path 0.2 --weight-decay 0.1".split(), self.data),
            ("refiner", "--optimiser muon --clip-norm 1 --ema 0.9".split(), self.lifted),
        ]
        for kind, options, source in cases:
            expected = made(self.trained(kind, *options, "--shards", 8, source=source))
            unsharded = made(self.trained(kind, *options, source=source))
            self.assertNotEqual(expected[0], unsharded[0])  # or shards would be nothing
            first = kind == "refiner" and not options
            for name, launcher in launchers().items():
                for ranks in {"openmpi": (1, 2, 4, 8), "mpich": (2, 8)}.get(name, (2,)) if first else (4,):
                    got = self.trained(kind, *options, ranks=ranks, launcher=launcher, source=source)
                    self.assertEqual(made(got), expected, f"{kind} {options}: {ranks}, {name}")

    def test_a_training_goes_on_with_other_ranks(self):
        expected = made(self.trained("refiner", "--epochs", 4, "--shards", 8))
        for name, launcher in launchers().items():
            for ranks, then in ((4, 2), (2, 8)) if name == "openmpi" else ((4, 2),):
                output = self.trained("refiner", ranks=ranks, launcher=launcher)
                run("train", "refiner", self.lifted, "-o", output, *NETWORK, "--epochs", 4, "--resume",
                    ranks=then, launcher=launcher)
                self.assertEqual(made(output), expected, f"{ranks} then {then}, {name}")
            # One process, without --shards: the file knows.
            run("train", "refiner", self.lifted, "-o", output, *NETWORK, "--epochs", 5, "--resume")
            _, error = run("train", "refiner", self.lifted, "-o", output, *NETWORK, "--epochs", 6,
                           "--resume", "--shards", 4, expect=1)
            self.assertIn("was started with --shards 8, now --shards 4", error)

    def test_ranks_may_have_nothing_to_do(self):
        # Neither a sequence nor, of so few parameters, any to update.
        small = "--batch 1 --width 16 --epochs 1".split()
        expected = made(self.trained("refiner", "--shards", 8, *small))
        for name, launcher in launchers().items():
            got = self.trained("refiner", *small, ranks=4, launcher=launcher)
            self.assertEqual(made(got), expected, name)

    def test_one_rank_that_pauses_or_stops_does_so_with_all(self):
        small = "--batch 1 --width 64 --epochs 1".split()
        expected = made(self.trained("refiner", "--shards", 8, *small))
        for name, launcher in launchers().items():
            if "TCP" in name:
                continue
            output = Path(tempfile.mkdtemp(dir=WORK)) / "net.safetensors"
            last, log = output.with_suffix(".last.safetensors"), output.with_suffix(".log.jsonl")
            command = ["-n", "4", POSETAPE, "train", "refiner", str(self.lifted), "-o", str(output),
                       *"--frames 9 --heads 2 --depth 1".split(), *small, "--resume"]
            process = subprocess.Popen([*launcher, *command, "--checkpoint-minutes", "0.0002"],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while not last.exists() and process.poll() is None:
                time.sleep(0.01)
            found = subprocess.run(["pgrep", "-f", f"^{POSETAPE} train refiner .*{output}"],
                                   capture_output=True, text=True).stdout.split()
            self.assertEqual(len(found), 4)
            os.kill(int(found[2]), signal.SIGINT)
            self.assertEqual(process.wait(timeout=30), 128 + signal.SIGINT)
            self.assertEqual(log.read_text(), "")  # in the first epoch
            subprocess.run([*launcher, *command], check=True, capture_output=True, timeout=120)
            self.assertEqual(made(output), expected, name)

    def test_two_hosts(self):
        if "openmpi" not in launchers():
            self.skipTest("no Open MPI")
        try:
            hosts = TwoHosts(tempfile.mkdtemp(dir=WORK))
        except OSError as error:
            self.skipTest(f"no network namespaces: {error}")
        try:
            expected = made(self.trained("refiner", "--shards", 8))
            output = WORK / "two_hosts.safetensors"
            out, _ = run("train", "refiner", self.lifted, "-o", output, *NETWORK, *EPOCHS, ranks=2,
                         launcher=hosts.launcher)
            self.assertIn("on 2 hosts", out)
            self.assertEqual(made(output), expected)
        finally:
            hosts.close()

    def test_on_the_emulated_device(self):
        if CUDA != "emulated":
            self.skipTest("the CUDA backend is not the emulated one")
        short = ["--device", "cuda", "--epochs", 1, "--batch", 64, "--width", 8]
        expected = made(self.trained("refiner", "--shards", 8, *short))
        train = ["train", "refiner", self.lifted, *"--frames 9 --heads 2 --depth 1".split(), *short]
        name, launcher = next(iter(launchers().items()))
        # A GPU each, or one for both, between which there is no NCCL.
        for gpus, way in (("0,1", "from GPU to GPU (NCCL)"), ("0", "through the hosts' memory")):
            output = WORK / f"{len(gpus)}_gpus.safetensors"
            out, _ = run(*train, "-o", output, ranks=2, launcher=launcher,
                         environment={"CUDA_VISIBLE_DEVICES": gpus})
            self.assertIn(way, out)
            self.assertEqual(made(output), expected, f"{name}, {way}")
            sent, formula = sent_and_formula(out)
            self.assertEqual(sent, formula, way)

    def test_poses_are_equal_to_the_byte(self):
        refiner = self.trained("refiner")
        work = [
            ("lift", WORK / "lifter.safetensors", self.data),
            ("refine", refiner, self.lifted),
            ("refine", refiner, self.lifted, "--recipe", "paper"),
            ("refine", refiner, self.lifted, "--delay", 3),
            # More than a batch of windows for each rank, and some ranks that have fewer.
            ("refine", refiner, self.lifted, "--stride", 1),
        ]
        for command in work:
            run(*command, "-o", WORK / "alone.npz")
            for name, launcher in launchers().items():
                for ranks in (3,) if "--delay" in command or "--stride" in command else (2, 4):
                    out, error = run(*command, "-o", WORK / "several.npz", ranks=ranks, launcher=launcher)
                    self.assertEqual(digest(WORK / "several.npz"), digest(WORK / "alone.npz"), name)
                    self.assertEqual(out.count("wrote "), 1, out)

    def test_uncertainty_is_equal_to_the_byte(self):
        refiner = self.trained("refiner")
        sure = ["train", "uncertainty", refiner, self.lifted, "--epochs", 2, "-o"]
        name, launcher = next(iter(launchers().items()))
        run(*sure, WORK / "alone.safetensors")
        run(*sure, WORK / "several.safetensors", ranks=3, launcher=launcher)
        self.assertEqual(digest(WORK / "several.safetensors"), digest(WORK / "alone.safetensors"), name)
        # Few windows: the last ranks have none, and know as little as the first what they would say.
        command = ["refine", WORK / "alone.safetensors", self.lifted, "--force"]
        run(*command, "-o", WORK / "alone.npz")
        run(*command, "-o", WORK / "several.npz", ranks=3, launcher=launcher)
        self.assertEqual(digest(WORK / "several.npz"), digest(WORK / "alone.npz"), name)

    def test_mutants_of_gradients_are_shared_out(self):
        check = ["gradcheck", "--op", "softmax", "--mutants", "--fast"]
        name, launcher = next(iter(launchers().items()))
        # Open MPI gives its ranks a terminal.
        plain = {"NO_COLOR": "1"}
        table = [run(*check)[0], run(*check, ranks=2, launcher=launcher, environment=plain)[0]]
        mutants = [text[text.index("mutants  killed"):text.rindex(";")] for text in table]
        self.assertEqual(mutants[0], mutants[1], name)

    def test_random_programs_are_shared_out(self):
        check = ["gradcheck", "--fuzz", 90, "--threads", 1]
        name, launcher = next(iter(launchers().items()))
        plain = {"NO_COLOR": "1"}
        alone, several = run(*check)[0], run(*check, ranks=3, launcher=launcher, environment=plain)[0]
        self.assertEqual(alone[:alone.rindex(";")], several[:several.rindex(";")], name)

    def test_what_is_sent_is_what_the_formula_says(self):
        for name, launcher in launchers().items():
            network = "--frames 9 --width 16 --heads 2 --depth 1 --batch".split()
            for options in ([9], [18, "--micro-batches", 2, "--clip-norm", 1]):
                out, _ = run("train", "refiner", self.lifted, "-o", WORK / "bytes.safetensors",
                             *EPOCHS, *network, *options, ranks=2, launcher=launcher)
                sent, formula = sent_and_formula(out)
                self.assertEqual(sent, formula, f"{name}: {options}")
                self.assertGreater(sent, 0)

    def test_what_differs_between_ranks_is_said(self):
        other = WORK / "other.npz"
        run("prepare", "synthetic", "-o", other, "--people", 4, "--takes", 1, "--seconds", 2,
            "--seed", 2)
        for name, launcher in launchers().items():
            output = WORK / "differ.safetensors"

            def both(first, second):
                command = [*launcher, "-n", "1", *map(str, first), ":", "-n", "1", *map(str, second)]
                done = subprocess.run(command, capture_output=True, text=True, timeout=60)
                self.assertNotEqual(done.returncode, 0)
                self.assertEqual(len(ours(done.stderr)), 1, done.stderr)
                self.assertFalse(output.exists())
                return ours(done.stderr)[0]

            train = [POSETAPE, "train", "refiner", self.lifted, "-o", output, *NETWORK]
            line = both(train, [*train, "--lr", "0.5"])
            self.assertIn("command line: ", line)
            self.assertIn("--lr 0.5 on rank 1", line)
            shutil.copy(self.lifted, WORK / "same.npz")
            line = both([*train[:3], WORK / "same.npz", *train[4:]],
                        [*train[:3], WORK / "same.npz", *train[4:], "--seed", "3"])
            self.assertIn("--seed 3", line)

    def test_failures_end_all_with_one_line(self):
        for name, launcher in launchers().items():
            _, error = run("train", "refiner", WORK / "none.npz", "-o", WORK / "x.safetensors", *NETWORK,
                           ranks=4, launcher=launcher, expect=1)
            self.assertEqual(len(ours(error)), 1, error)
            self.assertIn("none.npz", ours(error)[0])
            _, error = run("train", "refiner", self.lifted, "-o", WORK / "x.safetensors", *NETWORK,
                           "--shards", 2, ranks=4, launcher=launcher, expect=1)
            self.assertEqual(len(ours(error)), 1, error)
            self.assertIn("--shards 4 or more", ours(error)[0])
            _, error = run("train", "refiner", self.lifted, "-o", WORK / "x.safetensors", *NETWORK,
                           "--lr", "1e30", ranks=4, launcher=launcher, expect=1)
            self.assertEqual(len(ours(error)), 1, error)
            self.assertIn("diverged", ours(error)[0])
            _, error = run("lift", WORK / "lifter.safetensors", "-", "-o", WORK / "x.npz", ranks=2,
                           launcher=launcher, expect=1)
            self.assertIn("standard input", ours(error)[0])

    def test_an_unsharded_training_stays_with_one_process(self):
        output = self.trained("refiner")
        more = ["train", "refiner", self.lifted, "-o", output, *NETWORK, "--epochs", 3, "--resume"]
        name, launcher = next(iter(launchers().items()))
        _, error = run(*more, ranks=2, launcher=launcher, expect=1)
        self.assertIn("was started with --shards 1", ours(error)[0])
        self.assertIn("start without mpirun", ours(error)[0])
        run(*more)

    def test_a_killed_rank_ends_all_and_nothing_is_lost(self):
        expected = made(self.trained("refiner", "--epochs", 8, "--shards", 8))
        draw = random.Random(1)
        for name, launcher in launchers().items():
            if "TCP" in name:
                continue
            folder = Path(tempfile.mkdtemp(dir=WORK))
            output = folder / "net.safetensors"
            command = [*launcher, "-n", "4", POSETAPE, "train", "refiner", str(self.lifted), "-o",
                       str(output), *NETWORK, "--epochs", "8", "--checkpoint-minutes", "0.001"]
            for attempt in range(int(os.environ.get("POSETAPE_KILLS", "2"))):
                errors = tempfile.TemporaryFile("w+")
                process = subprocess.Popen([*command, "--resume"], stdout=subprocess.DEVNULL,
                                           stderr=errors, start_new_session=True)
                time.sleep(draw.uniform(0.3, 2.0))
                found = subprocess.run(["pgrep", "-f", f"^{POSETAPE} train refiner .*{folder}"],
                                       capture_output=True, text=True).stdout.split()
                killed = time.monotonic()
                if found:
                    os.kill(int(draw.choice(found)), signal.SIGKILL)
                process.wait(timeout=30)
                while subprocess.run(["pgrep", "-f", f"^{POSETAPE} train refiner .*{folder}"],
                                     capture_output=True).returncode == 0:
                    self.assertLess(time.monotonic() - killed, 10, "a rank goes on")
                    time.sleep(0.1)
                errors.seek(0)
                text = errors.read()
                errors.close()
                if os.environ.get("POSETAPE_KILLS"):
                    print(f"{name}: exit code {process.returncode}, ended after "
                          f"{time.monotonic() - killed:.1f} s, {len(ours(text))} lines of ours")
                self.assertLessEqual(len(ours(text)), 1, text)
            subprocess.run([*command, "--resume"], check=True, capture_output=True, timeout=120)
            self.assertEqual(made(output), expected, name)
            kinds = {p.name for p in folder.iterdir()}
            self.assertEqual(kinds, {"net.safetensors", "net.last.safetensors", "net.log.jsonl"})


class Without(unittest.TestCase):
    def test_a_program_without_the_module_says_so(self):
        alone = WORK / "bin" / "posetape"
        alone.parent.mkdir()
        shutil.copy(POSETAPE, alone)
        done = subprocess.run([alone, "info", "--machine"], capture_output=True, text=True,
                              env={**os.environ, "PMI_SIZE": "2", "PMI_RANK": "0"})
        self.assertEqual(done.returncode, 1)
        self.assertIn("posetape_mpich.so is not in", done.stderr)
        self.assertIn("libmpich-dev", done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1)


if __name__ == "__main__":
    POSETAPE, CUDA = str(Path(sys.argv[1]).absolute()), sys.argv[2]
    if not launchers():
        print("no MPI: install openmpi-bin libopenmpi-dev or mpich libmpich-dev, and build again")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        WORK = Path(folder)
        unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
