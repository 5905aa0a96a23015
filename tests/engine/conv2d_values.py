"""Makes tests/engine/conv2d_values.hpp: PyTorch's conv2d and its gradients, in f64, on the numbers that
tests/engine/conv2d_test.cpp has, too. Values lie as ours do: channels last.

    python3 tests/engine/conv2d_values.py > tests/engine/conv2d_values.hpp
"""

import math

import torch

torch.set_default_dtype(torch.float64)


def numbers(shape, seed):
    """What numbers() of the test gives."""
    count = math.prod(shape)
    return torch.tensor([math.sin(1 + 0.7 * i + 1.3 * seed) for i in range(count)]).reshape(shape)


def values(name, *tensors):
    flat = [float(x) for t in tensors for x in t.detach().reshape(-1)]
    # A C++ compiler reads the shortest text as the same number.
    print(f"const std::vector<double> {name}{{{', '.join(map(repr, flat))}}};")


def convolution(name, x, weight, **options):
    """y, and the gradients of sum(y v): dx, dweight, dbias."""
    x = numbers(x, 1).requires_grad_()
    weight = numbers(weight, 2).requires_grad_()
    bias = numbers(weight.shape[:1], 3).requires_grad_()
    y = torch.nn.functional.conv2d(
        x.permute(0, 3, 1, 2), weight.permute(0, 3, 1, 2), bias, **options
    ).permute(0, 2, 3, 1)
    (y * numbers(y.shape, 4)).sum().backward()
    values(name, y, x.grad, weight.grad, bias.grad)


print("// What PyTorch gives. Made by tests/engine/conv2d_values.py.")
print("#pragma once\n\n#include <vector>\n")
print("// clang-format off")
convolution("kPlain", (2, 4, 5, 2), (3, 3, 2, 2))
convolution(
    "kStrides", (1, 6, 7, 2), (2, 3, 3, 2), stride=(2, 3), padding=(1, 2), dilation=(2, 1)
)
convolution("kGroups", (2, 3, 4, 4), (6, 2, 3, 2), padding=(0, 1), groups=2)
convolution("kDepthwise", (2, 3, 4, 3), (3, 3, 3, 1), stride=2, padding=1, groups=3)
convolution("kTwiceAsDeep", (1, 3, 3, 2), (4, 2, 2, 1), groups=2)
