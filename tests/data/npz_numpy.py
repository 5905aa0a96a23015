"""npz_numpy.py NPZ_COPY: numpy writes arrays of all kinds, npz_copy reads and writes them, numpy
reads the copy. Exits with 77 (skipped) where there is no numpy."""

import subprocess
import sys
import tempfile
import zipfile

try:
    import numpy as np
except ImportError:
    print("SKIP: no numpy")
    sys.exit(77)


def arrays():
    rng = np.random.default_rng(1)
    for kind in ["f4", "f8", "i4", "i8", "u1", "b1"]:
        for order in ["<", ">"]:
            for shape in [(), (5,), (4, 3), (7, 17, 3), (0, 17, 2), (2, 1, 3, 2, 2)]:
                values = (rng.normal(size=shape) * 100).astype(order + kind)
                name = f"{kind}{'le' if order == '<' else 'be'}/{len(shape)}-{values.size}/0"
                yield name + "/c", values
                yield name + "/f", np.asfortranarray(values)


def copy(program, source, target, level):
    return subprocess.run([program, source, target, level], capture_output=True, text=True)


def main():
    program = sys.argv[1]
    expected = dict(arrays())
    with tempfile.TemporaryDirectory() as folder:
        source, target = folder + "/in.npz", folder + "/out.npz"
        for save in [np.savez, np.savez_compressed]:
            save(source, **expected)
            for level in ["0", "1"]:
                done = copy(program, source, target, level)
                assert done.returncode == 0, done.stderr
                assert zipfile.ZipFile(target).testzip() is None
                with np.load(target, allow_pickle=False) as found:
                    assert found.files == list(expected)
                    for name, array in expected.items():
                        result = found[name]
                        native = array.dtype.newbyteorder("=")
                        assert result.dtype == native, (name, result.dtype)
                        assert result.shape == array.shape, (name, result.shape)
                        assert np.array_equal(result, array), name
                        assert result.flags.c_contiguous, name

        np.savez(source, poses=np.array({"S1": [1, 2]}, dtype=object))
        done = copy(program, source, target, "0")
        assert done.returncode == 1, done.returncode
        for part in [source, "'poses'", "Python objects"]:
            assert part in done.stderr, done.stderr
    print(f"{len(expected)} arrays, twice read, twice written")


main()
