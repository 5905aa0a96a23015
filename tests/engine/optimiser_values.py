"""Makes tests/engine/optimiser_values.hpp: what PyTorch's optimisers, clipping, schedules and averages
give on the numbers that tests/engine/optimiser_test.cpp has, too. In f64.

    python3 tests/engine/optimiser_values.py > tests/engine/optimiser_values.hpp
"""

import math

import torch

torch.set_default_dtype(torch.float64)


def numbers(count, seed, size=1.0):
    """What numbers() of the test gives."""
    return torch.tensor([size * math.sin(1.0 + 0.7 * i + 1.3 * seed) for i in range(count)])


def values(name, *tensors):
    flat = [float(x) for t in tensors for x in torch.as_tensor(t).detach().reshape(-1)]
    # A C++ compiler reads the shortest text as the same number.
    print(f"const std::vector<double> {name}{{{', '.join(map(repr, flat))}}};")


# PyTorch's Muon iterates in bf16, ours does not.
torch.bfloat16 = torch.float64


class Both:
    """Muon on some parameters, and AdamW on the rest, with one learning rate."""

    def __init__(self, groups, matrices, **options):
        is_matrix = lambda p: any(p is m for m in matrices)
        parts = {
            matrix: [
                {**g, "params": [p for p in g["params"] if is_matrix(p) == matrix]} for g in groups
            ]
            for matrix in (True, False)
        }
        parts = {matrix: [g for g in groups if g["params"]] for matrix, groups in parts.items()}
        self.optimisers = [
            torch.optim.Muon(parts[True], adjust_lr_fn="match_rms_adamw", **options),
            torch.optim.AdamW(parts[False], lr=options["lr"]),
        ]
        self.param_groups = [g for o in self.optimisers for g in o.param_groups]

    def zero_grad(self):
        for optimiser in self.optimisers:
            optimiser.zero_grad()

    def step(self):
        for optimiser in self.optimisers:
            optimiser.step()


class Net(torch.nn.Module):
    """The test's Layers: a weight and a bias, a gain, and an output layer without a bias."""

    def __init__(self):
        super().__init__()
        self.hidden = torch.nn.Linear(3, 4)
        self.gain = torch.nn.Parameter(numbers(4, 3))
        self.out = torch.nn.Linear(4, 2, bias=False)
        with torch.no_grad():
            self.hidden.weight.copy_(numbers(12, 1).reshape(4, 3))
            self.hidden.bias.copy_(numbers(4, 2))
            self.out.weight.copy_(numbers(8, 4).reshape(2, 4))

    def forward(self, x):
        return self.out(torch.tanh(self.hidden(x)) * self.gain)

    def loss(self, number):
        x, y = numbers(15, 10 + number).reshape(5, 3), numbers(10, 50 + number).reshape(5, 2)
        return torch.nn.functional.mse_loss(self(x), y)

    def groups(self, weight_decay):
        """Biases and gains do not decay."""
        return [
            {"params": [self.hidden.weight, self.out.weight], "weight_decay": weight_decay},
            {"params": [self.hidden.bias, self.gain], "weight_decay": 0},
        ]

    def weights(self):
        return [self.hidden.weight, self.hidden.bias, self.gain, self.out.weight]


def clipping():
    for name, most in [("kClipped", 0.5), ("kUnclipped", 50.0)]:
        net = Net()
        net.loss(0).backward()
        norm = torch.nn.utils.clip_grad_norm_(net.parameters(), most)
        values(name, norm, *[w.grad for w in net.weights()])


def sgd(name, **options):
    net = Net()
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1, **options)
    for step in range(4):
        optimiser.zero_grad()
        net.loss(step).backward()
        optimiser.step()
    values(name, *net.weights())


def muon(name, matrices):
    net = Net()
    optimiser = Both(net.groups(0.1), matrices(net), lr=0.05, momentum=0.95)
    for step in range(4):
        optimiser.zero_grad()
        net.loss(step).backward()
        optimiser.step()
    values(name, *net.weights())


def groups():
    net = Net()
    net.hidden.weight.requires_grad_(False)
    optimiser = torch.optim.AdamW(net.groups(0.3), lr=0.05)
    for step in range(4):
        optimiser.zero_grad()
        net.loss(step).backward()
        optimiser.step()
    values("kGroups", *net.weights())


def rates():
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.2)
    rise = torch.optim.lr_scheduler.LinearLR(optimiser, start_factor=1 / 4, total_iters=3)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=16, eta_min=0.02)
    schedule = torch.optim.lr_scheduler.SequentialLR(optimiser, [rise, fall], milestones=[4])
    found = []
    for _ in range(21):
        found.append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    values("kRates", torch.tensor(found))


def whole(name, optimiser_of):
    """6 steps of 3 micro-batches, with everything on."""
    net = Net()
    net.hidden.bias.requires_grad_(False)
    optimiser = optimiser_of(net.groups(0.1), net)
    rates = [0.05 * part for part in (0.5, 1.0)]
    rates += [0.01 + 0.04 * 0.5 * (1 + math.cos(math.pi * i / 4)) for i in range(4)]
    averaged = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.8)
    )
    averaged.update_parameters(net)  # the first call copies
    losses = []
    for step in range(6):
        optimiser.zero_grad()
        losses.append(0.0)
        for part in range(3):
            loss = net.loss(3 * step + part) / 3
            loss.backward()
            losses[-1] += loss.item()
        torch.nn.utils.clip_grad_norm_(
            [w for w in net.parameters() if w.requires_grad], max_norm=0.4
        )
        for group in optimiser.param_groups:
            group["lr"] = rates[step]
        optimiser.step()
        averaged.update_parameters(net)
    values(f"{name}Losses", torch.tensor(losses))
    values(f"{name}Weights", *net.weights())
    values(f"{name}Averages", *averaged.module.weights())


print("// What PyTorch gives. Made by tests/engine/optimiser_values.py.")
print("#pragma once\n\n#include <vector>\n")
print("// clang-format off")
clipping()
sgd("kSgd", momentum=0)
sgd("kSgdMomentum", momentum=0.9, weight_decay=0.1)
muon("kMuon", lambda net: [net.hidden.weight, net.out.weight])
muon("kMuonHidden", lambda net: [net.hidden.weight])
groups()
rates()
whole("kAdam", lambda groups, _: torch.optim.AdamW(groups, lr=0.05))
whole("kMomentum", lambda groups, _: torch.optim.SGD(groups, lr=0.05, momentum=0.9))
whole("kMuonAll", lambda groups, net: Both(groups, [net.hidden.weight], lr=0.05, momentum=0.9))
