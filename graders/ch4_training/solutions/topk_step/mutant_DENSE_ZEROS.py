import torch


def topk_step(grad, residual, k):
    if grad.shape != residual.shape:
        raise ValueError("the shapes differ")
    if not 1 <= k <= grad.numel():
        raise ValueError(f"no {k} of {grad.numel()} entries")
    corrected = grad + residual
    _, chosen = torch.topk(corrected.abs(), k)
    values = torch.zeros_like(corrected)
    values[chosen] = corrected[chosen]
    return values, torch.arange(grad.numel()), corrected - values
