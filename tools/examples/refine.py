"""Refines an array of poses from Python: refine.py LIBRARY REFINER INPUT.npz OUTPUT.npy

LIBRARY is libposetape.so, REFINER a checkpoint of `posetape train refiner`. INPUT holds one clip:
pose_2d (F, 17, 2) in pixels, noisy_3d (F, 17, 3) in metres and image_size (width, height).
"""

import ctypes
import sys

import numpy as np


def refine(library, checkpoint, pose_2d, noisy_3d, width, height):
    posetape = ctypes.CDLL(library)
    posetape.posetape_last_error.restype = ctypes.c_char_p
    posetape.posetape_refiner_load.restype = ctypes.c_void_p
    pose_2d = np.ascontiguousarray(pose_2d, np.float32)
    noisy_3d = np.ascontiguousarray(noisy_3d, np.float32)
    refined = np.empty_like(noisy_3d)
    refiner = ctypes.c_void_p(posetape.posetape_refiner_load(checkpoint.encode()))
    floats = [ctypes.c_void_p(array.ctypes.data) for array in (pose_2d, noisy_3d, refined)]
    if not refiner or posetape.posetape_refine(refiner, ctypes.c_int64(len(refined)), *floats[:2],
                                               width, height, None, floats[2]) != 0:
        raise RuntimeError(posetape.posetape_last_error().decode())
    posetape.posetape_refiner_free(refiner)
    return refined


if __name__ == "__main__":
    clip = np.load(sys.argv[3])
    size = [int(n) for n in clip["image_size"]]
    np.save(sys.argv[4], refine(sys.argv[1], sys.argv[2], clip["pose_2d"], clip["noisy_3d"], *size))
