import torch


def topk_step(grad, residual, k):
    if grad.shape != residual.shape:
        raise ValueError("the shapes differ")
    if not 1 <= k <= grad.numel():
        raise ValueError(f"no {k} of {grad.numel()} entries")
    _, idx = torch.topk(grad.abs(), k)
    return grad[idx], idx, torch.zeros_like(grad)
