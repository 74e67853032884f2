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
    halves = [w.half().requires_grad_() for w in master]
    grads = torch.autograd.grad(loss(halves) * scaler.scale, halves)
    grads = [g.float() for g in grads]
    for g in grads:
        comm.all_reduce(g)
        g /= comm.size

    if not all(torch.isfinite(g).all() for g in grads):
        scaler.update(True)
        return False

    norm = torch.sqrt(sum((g**2).sum() for g in grads))
    if norm > max_norm:
        grads = [g * (max_norm / norm) for g in grads]
    for w, g in zip(master, grads):
        w -= lr * g
    scaler.update(False)
    return True
