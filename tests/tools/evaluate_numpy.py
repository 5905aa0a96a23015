"""evaluate_numpy.py POSETAPE: what `posetape evaluate` says of random poses, under every protocol,
is what numpy says, to 1e-5 mm. Exits with 77 (skipped) where there is no numpy.

The metrics and the protocols are written a second time here, whole arrays at a time and without a
look at the first: what both get wrong in the same way is a misunderstanding, not a slip.
"""

import json
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    print("SKIP: no numpy")
    sys.exit(77)

WINDOW = 27
PARENT = np.array([-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15])
LEFT, RIGHT = [4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]
PCK_JOINTS = [j for j in range(17) if j not in (0, 7, 9)]
PROTOCOLS = ["sequence", "mixste-seq2seq", "stcformer-centre", "vp3d"]


def lengths(vectors):
    return np.linalg.norm(vectors, axis=-1)


def aligned(estimate, truth):
    """Best similarity transform of every frame (Umeyama 1991), on whole arrays."""
    mean_y, mean_x = estimate.mean(1, keepdims=True), truth.mean(1, keepdims=True)
    y, x = estimate - mean_y, truth - mean_x
    u, s, vt = np.linalg.svd(np.einsum("fji,fjk->fik", x, y))
    sign = np.ones_like(s)
    sign[:, 2] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * sign[:, None]) @ vt
    scale = (s * sign).sum(-1) / (y**2).sum((1, 2))
    return scale[:, None, None] * np.einsum("fik,fjk->fji", rotation, y) + mean_x


def bones(pose):
    return lengths(pose[:, 1:] - pose[:, PARENT[1:]])


def per_frame(estimate, truth):
    """{metric: a value for each frame} of poses in millimetres."""
    error = lengths(estimate - truth)
    scale = (estimate * truth).sum((1, 2)) / (estimate**2).sum((1, 2))
    part = error[:, PCK_JOINTS]
    bone = bones(estimate)
    left, right = (bone[:, np.array(side) - 1] for side in (LEFT, RIGHT))
    return {
        "mpjpe_mm": error.mean(1),
        "p_mpjpe_mm": lengths(aligned(estimate, truth) - truth).mean(1),
        "n_mpjpe_mm": lengths(scale[:, None, None] * estimate - truth).mean(1),
        "bone_length_error_mm": np.abs(bone - bones(truth)).mean(1),
        "symmetry_error_mm": np.abs(left - right).mean(1),
        "pck_150_percent": 100 * (part < 150).mean(1),
        "auc_percent": 100 * np.mean([(part < t).mean(1) for t in np.linspace(0, 150, 31)], axis=0),
    }


def in_windows(poses, last=None):
    """Windows of MixSTE, end to end; the last one as the network gave it, where that is known."""
    if last is not None:
        whole = poses[: len(poses) // WINDOW * WINDOW]
        return np.concatenate([whole, last])
    if len(poses) < WINDOW:
        return np.concatenate([poses, np.repeat(poses[-1:], WINDOW - len(poses), 0)])
    parts = [poses[i : i + WINDOW] for i in range(0, len(poses) - WINDOW + 1, WINDOW)]
    if len(poses) % WINDOW:
        parts.append(poses[-WINDOW:])
    return np.concatenate(parts)


def score(sequences, protocol):
    """Average, actions and pooled MPJPE of [(action, estimate, truth, last window)] in metres."""
    actions, pooled = {}, []
    for action, estimate, truth, last in sequences:
        estimate, truth = 1000 * estimate.astype(float), 1000 * truth.astype(float)
        truth = truth - truth[:, :1]
        if protocol in ("sequence", "stcformer-centre"):
            estimate = estimate.copy()
            estimate[:, 0] = 0
        if protocol == "mixste-seq2seq":
            last = last if last is None else 1000 * last.astype(float)
            estimate, truth = in_windows(estimate, last), in_windows(truth)
        values = per_frame(estimate, truth)
        pooled.append(values["mpjpe_mm"])
        for order, key in ((1, "mpjve_mm_per_frame"), (2, "acceleration_error_mm_per_frame2")):
            moved = lengths(np.diff(estimate, order, 0) - np.diff(truth, order, 0)).mean(1)
            if protocol in ("mixste-seq2seq", "vp3d") and len(moved):
                moved = np.full(len(estimate), moved.mean())
            values[key] = moved
        # Of wrists and ankles, once a clip, with the weight of its velocities.
        speeds = [lengths(np.diff(poses[:, [3, 6, 13, 16]], 1, 0)) for poses in (estimate, truth)]
        peaks = [np.quantile(s, 0.99) if s.size else 0 for s in speeds]
        moving = len(values["mpjve_mm_per_frame"]) if peaks[1] * 50 > 200 else 0
        values["peak_speed_percent"] = np.full(moving, 100 * peaks[0] / (peaks[1] or 1))
        for key, value in values.items():
            actions.setdefault(action, {}).setdefault(key, []).append(value)
    actions = {a: {k: np.concatenate(v) for k, v in keys.items()} for a, keys in actions.items()}
    actions = {
        a: {k: v.mean() if len(v) else None for k, v in keys.items()} for a, keys in actions.items()
    }
    keys = next(iter(actions.values()))
    average = {
        k: np.mean([a[k] for a in actions.values() if a[k] is not None]) for k in keys
    }
    return average, actions, np.concatenate(pooled)


def poses(rng):
    """Random walks of bodies, estimates that are near, far, and mirrored, clips of all lengths."""
    clips = [("Walking", 100), ("Walking 1", 54), ("Photo", 27), ("Photo 1", 5), ("Sitting", 1),
             ("Greeting", 61)]
    for action, frames in clips:
        for camera in (0, 1):
            body = rng.normal(0, 0.3, (1, 17, 3)) + rng.normal(0, 0.02, (frames, 17, 3)).cumsum(0)
            truth = (body + rng.normal(0, 1, 3) + [0, 0, 5]).astype("f4")
            estimate = body - body[:, :1] + rng.normal(0, 0.05, body.shape)
            if action == "Greeting":
                estimate[::2] *= [-1, 1, 1]
            estimate[:, 0] = rng.normal(0, 0.01, (frames, 3))
            yield f"S9/{action}/{camera}", truth, estimate.astype("f4")


def check(found, expected, what):
    if expected is None:
        assert found is None, (what, found)
    else:
        assert abs(found - expected) < 1e-5, (what, found, expected)


def main():
    program = sys.argv[1]
    sequences, arrays = [], {}
    rng = np.random.default_rng(4)
    for name, truth, estimate in poses(np.random.default_rng(3)):
        # Half of the clips have their last window whole, as `lift` under that protocol keeps it.
        last = None
        if name.endswith("/1") and len(truth) % WINDOW:
            last = in_windows(estimate)[-WINDOW:] + rng.normal(0, 0.02, (WINDOW, 17, 3)).astype("f4")
            arrays[f"{name}/noisy_3d_last_window"] = last
        sequences.append((name.split("/")[1].split(" ")[0], estimate, truth, last))
        arrays[f"{name}/pose_2d"] = np.full((len(truth), 17, 2), 500, "f4")
        arrays[f"{name}/image_size"] = np.array([1000, 1000])
        arrays[f"{name}/pose_3d"], arrays[f"{name}/noisy_3d"] = truth, estimate
    compared = 0
    with tempfile.TemporaryDirectory() as folder:
        np.savez(folder + "/poses.npz", **arrays)
        for protocol in PROTOCOLS:
            done = subprocess.run(
                [program, "evaluate", folder + "/poses.npz", "--protocol", protocol,
                 *(["--frames", str(WINDOW)] if protocol == "mixste-seq2seq" else []),
                 "--format", "json", "--force"], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            found = json.loads(done.stdout)["base"]
            average, actions, pooled = score(sequences, protocol)
            assert found["frames"] == len(pooled), (found["frames"], len(pooled))
            assert set(found["actions"]) == set(actions)
            for group, here, there in [("average", found["average"], average)] + [
                (a, found["actions"][a], actions[a]) for a in actions
            ]:
                for key, value in there.items():
                    check(here[key], value, (protocol, group, key))
                    compared += 1
            distribution = found["poses_mpjpe"]
            for q, value in distribution["quantiles_mm"].items():
                check(value, np.quantile(pooled, float(q)), (protocol, q))
            edges = np.append(np.arange(0, 151, 5), np.inf)
            assert distribution["histogram_poses"] == np.histogram(pooled, edges)[0].tolist()
    print(f"{compared} figures of {len(PROTOCOLS)} protocols agree")


main()
