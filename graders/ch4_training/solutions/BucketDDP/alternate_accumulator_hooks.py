import torch


class Bucket:
    """A flat tensor, the parameters whose gradients are copied into it, and where to."""

    def __init__(self, parameters):
        self.parameters = parameters
        self.flat = torch.zeros(
            sum(p.numel() for p in parameters), dtype=parameters[0].dtype
        )
        self.clear()

    def clear(self):
        self.missing = set(self.parameters)
        self.work = None

    def pieces(self):
        return self.flat.split([p.numel() for p in self.parameters])


class BucketDDP(torch.nn.Module):
    def __init__(self, module, comm, cap_bytes):
        super().__init__()
        self.module, self.comm = module, comm
        with torch.no_grad():  # rank 0 gives its numbers, the others zeros
            for p in module.parameters():
                if comm.rank != 0:
                    p.zero_()
                comm.all_reduce(p)
        wanted = [p for p in module.parameters() if p.requires_grad][::-1]
        groups, total = [[]], 0
        for p in wanted:
            total += p.nbytes
            if groups[-1] and total > cap_bytes:
                groups.append([])
                total = p.nbytes
            groups[-1].append(p)
        self.buckets = [Bucket(group) for group in groups if group]
        self.nodes = []
        for bucket in self.buckets:
            for p in bucket.parameters:
                # the node of the graph that adds to .grad of this parameter
                node = p.expand_as(p).grad_fn.next_functions[0][0]
                node.register_hook(lambda *_, b=bucket, q=p: self.arrived(b, q))
                self.nodes.append(node)

    def arrived(self, bucket, p):
        bucket.missing.discard(p)
        for b in self.buckets:
            if b.work is None:
                if b.missing:
                    break
                self.send(b)

    def send(self, bucket):
        for p, piece in zip(bucket.parameters, bucket.pieces()):
            piece.copy_(torch.zeros(p.numel()) if p.grad is None else p.grad.reshape(-1))
        bucket.flat.div_(self.comm.size)
        bucket.work = self.comm.all_reduce(bucket.flat, async_op=True)

    def forward(self, *args, **kwargs):
        return self.module(*args, **kwargs)

    def finish(self):
        for bucket in self.buckets:
            if bucket.work is None:
                self.send(bucket)
        for bucket in self.buckets:
            bucket.work.wait()
            for p, piece in zip(bucket.parameters, bucket.pieces()):
                p.grad = piece.clone().view_as(p)
            bucket.clear()
