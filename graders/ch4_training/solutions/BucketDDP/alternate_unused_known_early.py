import torch


class BucketDDP(torch.nn.Module):
    """Looks at the graph of the output, so that what will get no gradient is known at once.

    The buckets are filled from the front and sent from the back.
    """

    def __init__(self, module, comm, cap_bytes):
        super().__init__()
        self.module = module
        self.comm = comm
        for p in module.parameters():
            comm.broadcast(p.detach(), src=0)
        self.params = [p for p in module.parameters() if p.requires_grad]
        self.buckets = []
        for p in self.params:
            if self.buckets and sum(q.nbytes for q in self.buckets[-1]) + p.nbytes <= cap_bytes:
                self.buckets[-1].append(p)
            else:
                self.buckets.append([p])
            p.register_post_accumulate_grad_hook(lambda p: self.mark(p))
        self.done = set()
        self.sent = {}

    def forward(self, *args, **kwargs):
        out = self.module(*args, **kwargs)
        self.done = set()
        self.sent = {}
        if out.requires_grad:
            reached, seen, todo = set(), set(), [out.grad_fn]
            while todo:
                node = todo.pop()
                if node is None or node in seen:
                    continue
                seen.add(node)
                if hasattr(node, "variable"):
                    reached.add(node.variable)
                todo.extend(n for n, _ in node.next_functions)
            self.done = {p for p in self.params if p not in reached}
        return out

    def mark(self, p):
        self.done.add(p)
        self.advance()

    def advance(self, all_of_them=False):
        for i in reversed(range(len(self.buckets))):
            if i in self.sent:
                continue
            if not all_of_them and not self.done.issuperset(self.buckets[i]):
                return
            flat = torch.cat(
                [(p.grad if p.grad is not None else torch.zeros_like(p)).view(-1)
                 for p in self.buckets[i]]
            )
            self.sent[i] = flat, self.comm.all_reduce(flat, async_op=True)

    def finish(self):
        self.advance(all_of_them=True)
        for i, (flat, work) in self.sent.items():
            work.wait()
            for p in self.buckets[i]:
                p.grad, flat = (flat[: p.numel()] / self.comm.size).view_as(p), flat[p.numel() :]
