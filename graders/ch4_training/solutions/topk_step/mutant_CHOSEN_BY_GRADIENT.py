import torch


def topk_step(grad, residual, k):
    if grad.shape != residual.shape:
        raise ValueError("the shapes differ")
    if not 1 <= k <= grad.numel():
        raise ValueError(f"no {k} of {grad.numel()} entries")
    _, idx = torch.topk(grad.abs(), k)
    corrected = grad + residual
    values = corrected[idx]
    corrected[idx] = 0
    return values, idx, corrected
