import torch


class BucketDDP(torch.nn.Module):
    """Hooks on the tensors: they are given the gradient before it is stored."""

    def __init__(self, module, comm, cap_bytes):
        super().__init__()
        self.module = module
        self.comm = comm
        for p in module.state_dict().values():  # names a tied weight twice: harmless here
            comm.broadcast(p, 0)
        ps = [p for p in module.parameters() if p.requires_grad]
        self.slots = {}
        bucket, offset, sizes = 0, 0, []
        for p in reversed(ps):
            if offset and (offset + p.numel()) * p.element_size() > cap_bytes:
                sizes.append(offset)
                bucket, offset = bucket + 1, 0
            self.slots[p] = (bucket, offset)
            offset += p.numel()
        sizes.append(offset)
        self.flats = [torch.zeros(n, dtype=ps[0].dtype) for n in sizes]
        self.counts = [sum(b == i for b, _ in self.slots.values()) for i in range(len(sizes))]
        for p in ps:
            p.register_hook(lambda grad, p=p: self.store(p, grad))
        self.begin_step()

    def begin_step(self):
        for flat in self.flats:
            flat.zero_()
        self.came = [0] * len(self.flats)
        self.works = []

    def forward(self, *args, **kwargs):
        return self.module(*args, **kwargs)

    def store(self, p, grad):
        bucket, offset = self.slots[p]
        self.flats[bucket][offset : offset + p.numel()] = grad.reshape(-1)
        self.came[bucket] += 1
        self.send(lambda i: self.came[i] == self.counts[i])

    def send(self, ready):
        while (i := len(self.works)) < len(self.flats) and ready(i):
            self.works.append(self.comm.all_reduce(self.flats[i], async_op=True))

    def finish(self):
        self.send(lambda i: True)
        for work in self.works:
            work.wait()
        for p, (bucket, offset) in self.slots.items():
            mean = self.flats[bucket][offset : offset + p.numel()] / self.comm.size
            p.grad = mean.reshape(p.shape)
        self.begin_step()
