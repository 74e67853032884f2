import torch


class BucketDDP(torch.nn.Module):
    def __init__(self, module, comm, cap_bytes):
        super().__init__()
        self.module = module
        self.comm = comm
        for parameter in module.parameters():
            comm.broadcast(parameter.data, 0)
        self.buckets = []
        used = 0
        for parameter in reversed(list(module.parameters())):
            if parameter.requires_grad:
                size = parameter.numel() * parameter.element_size()
                if not self.buckets or used + size > cap_bytes:
                    self.buckets.append([])
                    used = 0
                self.buckets[-1].append(parameter)
                used += size

    def forward(self, *args, **kwargs):
        return self.module(*args, **kwargs)

    def finish(self):
        works = []
        for bucket in self.buckets:
            parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in bucket]
            flat = torch.cat([part.flatten() for part in parts])
            works.append((bucket, flat, self.comm.all_reduce(flat, async_op=True)))
        for bucket, flat, work in works:
            work.wait()
            flat /= self.comm.size
            for p, piece in zip(bucket, flat.split([p.numel() for p in bucket])):
                p.grad = piece.view(p.shape)
