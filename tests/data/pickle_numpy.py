"""pickle_numpy.py PICKLE_COPY: numpy pickles arrays, scalars and plain values with every protocol,
pickle_copy reads them without Python, numpy compares. Exits with 77 (skipped) without numpy."""

import io
import os
import pickle
import subprocess
import sys
import tempfile
import zipfile

try:
    import numpy as np
except ImportError:
    print("SKIP: no numpy")
    sys.exit(77)


def content():
    rng = np.random.default_rng(1)
    shared = rng.normal(size=(3, 17, 2)).astype("f4")
    numbers = {}
    for kind in ["f4", "f8", "i4", "i8", "u1", "b1"]:
        for order in "<>":
            for shape in [(), (0,), (5,), (4, 3), (7, 17, 3)]:
                values = (rng.normal(size=shape) * 100).astype(order + kind)
                name = f"{kind}{order}{len(shape)}"
                numbers[name + "c"] = np.array(values)
                numbers[name + "f"] = np.asfortranarray(values)
    return {
        "S1": {"Directions 1": [shared, shared * 2, shared], "größe": shared[:, :, :1]},
        "numbers": numbers,
        "plain": [0, -1, 1, 255, 256, 65536, -(2**31), 2**31, 2**62, -(2**63), 0.5, -1e300, True,
                  False, None, "text", "\u00fc\u20ac\U0001f600", "line\nfeed\\", (), (1,), (1, 2),
                  (1, 2, 3), (1, 2, 3, 4), [], {}, "x" * 300],
        "scalars": [np.int64(-7), np.float32(1.5), np.float64(2.5), np.int32(9), np.bool_(True),
                    np.uint8(200)],
        "bytes": np.arange(256, dtype="u1"),
    }


def flat(value, path="root"):
    """(path, array) as pickle_copy writes them."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from flat(item, f"{path}/{key}")
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from flat(item, f"{path}/{i}")
    elif isinstance(value, str):
        yield path, np.frombuffer(value.encode(), "u1")
    elif value is None:
        yield path, np.zeros(0, "u1")
    elif isinstance(value, np.ndarray):
        yield path, value
    else:
        yield path, np.float64(value)


def write(path, pickled):
    """An npz file with a pickle of our choice."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|O", "fortran_order": False, "shape": ()})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("positions.npy", header.getvalue() + pickled)


def copy(program, source, target):
    return subprocess.run([program, source, "positions", target], capture_output=True, text=True)


def check(program, folder, pickled, expected):
    source, target = folder + "/in.npz", folder + "/out.npz"
    write(source, pickled)
    done = copy(program, source, target)
    assert done.returncode == 0, done.stderr
    with np.load(target, allow_pickle=False) as found:
        assert found.files == [path for path, _ in expected]
        for path, array in expected:
            result = found[path]
            assert result.shape == array.shape, (path, result.shape, array.shape)
            assert result.dtype == array.dtype.newbyteorder("="), (path, result.dtype)
            assert np.array_equal(result, array), path


class Evil:
    def __init__(self, function, arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def main():
    program = sys.argv[1]
    value = content()
    wrapped = np.array(value, dtype=object)
    expected = list(flat(value))
    with tempfile.TemporaryDirectory() as folder:
        for protocol in range(6):
            for module in [b"numpy.core.multiarray", b"numpy._core.multiarray"]:
                pickled = pickle.dumps(wrapped, protocol=protocol)
                here = np._core if hasattr(np, "_core") else np.core
                mine = here.__name__.encode() + b".multiarray"
                if protocol < 4:  # a line each
                    pickled = pickled.replace(b"c" + mine + b"\n", b"c" + module + b"\n")
                else:  # a string that is kept, with its length, in a frame whose length is a hint
                    pickled = pickled.replace(bytes([0x8c, len(mine)]) + mine,
                                              bytes([0x8c, len(module)]) + module)
                assert module in pickled
                check(program, folder, pickled, expected)

        # Python 2 has the elements in a str, where Python 3 calls _codecs.encode. Put together by
        # hand.
        elements = np.arange(6, dtype="<f4")
        for string in [b"T" + (24).to_bytes(4, "little") + elements.tobytes(),
                       b"U" + bytes([24]) + elements.tobytes(),
                       b"S" + repr(elements.tobytes())[1:].encode() + b"\n"]:
            def array(shape, dtype, data):
                return (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntU\x01btR"
                        b"(I1\n" + shape + b"cnumpy\ndtype\n(" + dtype + b"tbI00\n" + data + b"tb")
            inner = array(b"(I2\nI3\nt", b"U\x02f4I0\nI1\ntR(I3\nU\x01<NNNI-1\nI-1\nI0\n", string)
            outer = array(b"(t", b"U\x02O8I0\nI1\ntR(I3\nU\x01|NNNI-1\nI-1\nI63\n",
                          b"(lp9\n(dU\x01aL5L\nsU\x01b" + inner + b"sa")
            check(program, folder, b"\x80\x02" + outer + b".",
                  [("root/a", np.float64(5)), ("root/b", elements.reshape(2, 3))])

        # What numpy itself writes, stored and deflated.
        for save in [np.savez, np.savez_compressed]:
            save(folder + "/in.npz", positions=wrapped)
            done = copy(program, folder + "/in.npz", folder + "/out.npz")
            assert done.returncode == 0, done.stderr
            assert np.load(folder + "/out.npz").files == [path for path, _ in expected]

        marker = folder + "/marker"
        for protocol in range(6):
            for evil, name in [(Evil(os.system, ("touch " + marker,)), "system"),
                               (Evil(eval, ("open('%s', 'w')" % marker,)), "eval"),
                               (Evil(np.load, (marker,)), "load")]:
                write(folder + "/in.npz",
                      pickle.dumps(np.array({"S1": evil}, dtype=object), protocol=protocol))
                done = copy(program, folder + "/in.npz", folder + "/out.npz")
                assert done.returncode == 1, done.returncode
                assert name in done.stderr and "refused" in done.stderr, done.stderr
                assert done.stderr.count("\n") == 1, done.stderr
                assert not os.path.exists(marker)
    print(f"{len(expected)} values, six protocols")


main()
