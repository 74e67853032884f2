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
    """Send the gradients as they are, in half precision, one buffer for all."""
    halves = [w.detach().half() for w in master]
    for h in halves:
        h.requires_grad = True
    (loss(halves) * scaler.scale / comm.size).backward()
    buffer = torch.nn.utils.parameters_to_vector([h.grad for h in halves])
    comm.all_reduce(buffer)
    ok = bool(torch.isfinite(buffer).all())
    if ok:
        grad = buffer.float() / scaler.scale
        norm = float(torch.linalg.vector_norm(grad))
        if norm > max_norm:
            grad = grad * max_norm / norm
        start = 0
        for i, w in enumerate(master):
            piece = grad[start : start + w.numel()].reshape(w.shape)
            master[i] = w - lr * piece
            start += w.numel()
    scaler.update(not ok)
    return ok
