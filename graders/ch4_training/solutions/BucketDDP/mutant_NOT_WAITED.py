import torch


class BucketDDP(torch.nn.Module):
    def __init__(self, module, comm, cap_bytes):
        super().__init__()
        self.module = module
        self.comm = comm
        for parameter in module.parameters():
            comm.broadcast(parameter.data, src=0)
        self.buckets = []
        used = 0
        for parameter in reversed(list(module.parameters())):
            if not parameter.requires_grad:
                continue
            size = parameter.numel() * parameter.element_size()
            if not self.buckets or used + size > cap_bytes:
                self.buckets.append([])
                used = 0
            self.buckets[-1].append(parameter)
            used += size
        self.where = {}
        for index, bucket in enumerate(self.buckets):
            for parameter in bucket:
                self.where[parameter] = index
                parameter.register_post_accumulate_grad_hook(self.hook)
        self.reset()

    def reset(self):
        self.next = 0
        self.flying = []
        self.left = [len(bucket) for bucket in self.buckets]

    def forward(self, *args, **kwargs):
        return self.module(*args, **kwargs)

    def hook(self, parameter):
        self.left[self.where[parameter]] -= 1
        while self.next < len(self.buckets) and self.left[self.next] == 0:
            self.launch()

    def launch(self):
        bucket = self.buckets[self.next]
        self.next += 1
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in bucket]
        flat = torch.cat([part.reshape(-1) for part in parts])
        work = self.comm.all_reduce(flat, async_op=True)
        self.flying.append((bucket, flat, work))

    def finish(self):
        while self.next < len(self.buckets):
            self.launch()
        for bucket, flat, _ in self.flying:
            at = 0
            for parameter in bucket:
                piece = flat[at : at + parameter.numel()] / self.comm.size
                parameter.grad = piece.reshape(parameter.shape)
                at += parameter.numel()
        self.reset()
