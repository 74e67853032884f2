import torch


class BucketDDP(torch.nn.Module):
    """Gradients live in the buckets: after finish, .grad is a view; forward sets the pass up."""

    def __init__(self, module, comm, cap_bytes):
        super().__init__()
        self.module, self.comm = module, comm
        vec = torch.nn.utils.parameters_to_vector([p.detach() for p in module.parameters()])
        comm.broadcast(vec, 0)
        torch.nn.utils.vector_to_parameters(vec, module.parameters())
        self.groups = [[]]
        for p in list(module.parameters())[::-1]:
            if p.requires_grad:
                if self.groups[-1] and sum(q.nbytes for q in self.groups[-1] + [p]) > cap_bytes:
                    self.groups.append([])
                self.groups[-1].append(p)
        for i, g in enumerate(self.groups):
            for p in g:
                p.register_post_accumulate_grad_hook(lambda p, i=i: self.come(i))
        self.handles = None

    def forward(self, *a, **k):
        self.handles = {}
        self.count = [0] * len(self.groups)
        self.flat = [torch.zeros(sum(p.numel() for p in g), dtype=g[0].dtype) for g in self.groups]
        return self.module(*a, **k)

    def come(self, i):
        self.count[i] += 1
        n = len(self.handles)
        while n < len(self.groups) and self.count[n] == len(self.groups[n]):
            self.go(n)
            n += 1

    def go(self, n):
        at = 0
        for p in self.groups[n]:
            view = self.flat[n][at : at + p.numel()].view_as(p)
            if p.grad is not None:
                view.copy_(p.grad)
            p.grad = view
            at += p.numel()
        self.flat[n].mul_(1 / self.comm.size)
        self.handles[n] = self.comm.all_reduce(self.flat[n], True)

    def finish(self):
        for n in range(len(self.handles), len(self.groups)):
            self.go(n)
        for h in reversed(list(self.handles.values())):
            h.wait()
