import torch


class Scaler:
    def __init__(self, scale=2.0**16, interval=2000):
        self.scale, self.interval, self.left = scale, interval, interval

    def update(self, overflow):
        self.left -= 1
        if overflow:
            self.scale /= 2
        if self.left == 0 and not overflow:
            self.scale *= 2
        if overflow or self.left == 0:
            self.left = self.interval

    def unscale(self, parameters, ranks):
        for p in parameters:
            p.grad /= self.scale * ranks


def amp_step(master, loss, scaler, lr, max_norm, comm):
    """Let autograd cast, and torch clip and step: the gradients arrive in the masters."""
    params = [torch.nn.Parameter(w) for w in master]  # they share the memory of the masters
    (scaler.scale * loss([p.half() for p in params])).backward()
    for p in params:
        comm.all_reduce(p.grad)
    scaler.unscale(params, comm.size)
    norm = torch.nn.utils.clip_grad_norm_(params, max_norm)
    ok = bool(torch.isfinite(norm))
    if ok:
        torch.optim.SGD(params, lr=lr).step()
    scaler.update(not ok)
    return ok
