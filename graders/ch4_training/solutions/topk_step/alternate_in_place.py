import torch


def topk_step(grad, residual, k):
    if grad.shape != residual.shape or not 0 < k <= len(grad):
        raise ValueError(f"{tuple(grad.shape)}, {tuple(residual.shape)} and k = {k}")
    residual += grad
    idx = torch.topk(residual * residual, k, sorted=False)[1]
    values = residual.gather(0, idx)
    residual.scatter_(0, idx, 0.0)
    return values, idx, residual
