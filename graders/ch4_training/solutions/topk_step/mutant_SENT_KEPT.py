import torch


def topk_step(grad, residual, k):
    if grad.shape != residual.shape:
        raise ValueError("the shapes differ")
    if not 1 <= k <= grad.numel():
        raise ValueError(f"no {k} of {grad.numel()} entries")
    residual = residual + grad
    _, idx = torch.topk(residual.abs(), k)
    return residual[idx], idx, residual
