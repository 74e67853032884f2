import torch


class Scaler:
    def __init__(self, scale=2.0**16, interval=2000):
        self.scale = scale
        self.interval = interval
        self.streak = 0

    def update(self, overflow):
        if overflow:
            self.scale = self.scale * 0.5
            self.streak = 0
            return
        self.streak += 1
        if self.streak == self.interval:
            self.scale = self.scale * 2.0
            self.streak = 0


def amp_step(master, loss, scaler, lr, max_norm, comm):
    """Decide with a collective of its own, before any gradient travels."""
    halves = [w.to(torch.float16).requires_grad_(True) for w in master]
    grads = torch.autograd.grad(scaler.scale * loss(halves), halves)
    bad = torch.zeros(1, dtype=torch.float64)
    if any(not torch.isfinite(g).all() for g in grads):
        bad += 1
    comm.all_reduce(bad)
    if bad > 0:
        scaler.update(True)
        return False
    means = []
    for g in grads:
        g = g.double() / scaler.scale
        comm.all_reduce(g)
        means.append(g / comm.size)
    norm = sum(g.square().sum() for g in means) ** 0.5
    factor = torch.clamp(max_norm / norm, max=1.0)
    for w, g in zip(master, means):
        w.copy_(w.double() - lr * factor * g)
    scaler.update(False)
    return True
