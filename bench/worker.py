"""Programs that time passes of a network: build/bench/bench_measure, bench/peers/peer.py."""

import math
import os
import statistics
import subprocess
from collections import namedtuple

# What to run, as bench/peers/measure.cpp describes it.
Work = namedtuple("Work", "kind dtype batch frames width depth", defaults=("f32", 4, 81, 256, 4))
# Medians in seconds; peak in bytes. Infinite where the program cannot do the work.
Answer = namedtuple("Answer", "wall cpu peak")


class Worker:
    """One such program, which waits while another has its turn."""

    def __init__(self, command):
        self.command = command
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def ask(self, work, threads, seconds):
        self.process.stdin.write(" ".join(map(str, (*work, threads, seconds))) + "\n")
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{' '.join(self.command)}: stopped at {work}")
        wall, cpu, peak, _ = line.split()
        return Answer(float(wall), float(cpu), float(peak))

    def close(self):
        """The most memory that the process held, in bytes."""
        self.process.stdin.close()
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return 1024 * usage.ru_maxrss


def in_turns(contestants, threads, seconds, rounds, clock="wall"):
    """The median of each (worker, work) over rounds in which each has one turn."""
    turns = [
        [getattr(worker.ask(work, threads, seconds), clock) for worker, work in contestants]
        for _ in range(rounds)
    ]
    return [statistics.median(column) for column in zip(*turns)]


def peak_memory(command, work, threads):
    """Peak resident memory of a process that does nothing but this work."""
    worker = Worker(command)
    answer = worker.ask(work, threads, 0)
    resident = worker.close()
    return answer.peak if math.isinf(answer.peak) else resident


def load():
    """The load of the last minute, for a line beside the figures."""
    return f"load {os.getloadavg()[0]:.1f}"
