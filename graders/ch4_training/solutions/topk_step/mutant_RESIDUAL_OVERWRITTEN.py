import torch


def topk_step(grad, residual, k):
    if grad.shape != residual.shape:
        raise ValueError("the shapes differ")
    if not 1 <= k <= grad.numel():
        raise ValueError(f"no {k} of {grad.numel()} entries")
    corrected = grad + residual
    _, idx = torch.topk(corrected.abs(), k)
    residual = grad.clone()
    residual[idx] = 0
    return corrected[idx], idx, residual
