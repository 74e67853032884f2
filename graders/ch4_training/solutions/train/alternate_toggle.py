from pathlib import Path

import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.utils.data import BatchSampler, DataLoader, Sampler


class Dealt(Sampler):
    """Deals a permutation of the epoch like cards."""

    def __init__(self, n, seed):
        self.n, self.seed, self.epoch = n, seed, 0

    def __len__(self):
        return self.n // dist.get_world_size()

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.seed * 1000 + self.epoch)
        order = torch.randperm(self.n, generator=generator).tolist()
        return iter(order[dist.get_rank() * len(self) :][: len(self)])


def train(rank, world, cfg):
    optimizer = cfg.make_optimizer(cfg.model.parameters())
    ddp = DDP(cfg.model, gradient_as_bucket_view=True)
    sampler = Dealt(len(cfg.dataset), cfg.seed)
    batches = DataLoader(
        cfg.dataset, batch_sampler=BatchSampler(sampler, cfg.batch_size, drop_last=False)
    )
    report = {"steps": 0, "losses": []}
    for sampler.epoch in range(cfg.epochs):
        epoch = list(batches)
        values = []
        for begin in range(0, len(epoch), cfg.accumulate):
            group = epoch[begin : begin + cfg.accumulate]
            optimizer.zero_grad(set_to_none=False)
            for position, (x, y) in enumerate(group, start=1):
                ddp.require_backward_grad_sync = position == len(group)
                value = cfg.loss(ddp(x), y)
                value.mul(1 / len(group)).backward()
                values.append(float(value.detach()))
            optimizer.step()
            report["steps"] += 1
        report["losses"].append(sum(values) / len(values))
    dist.barrier()
    if dist.get_rank() == 0:
        with Path(cfg.checkpoint).open("wb") as file:
            torch.save(ddp.module.state_dict(), file)
    dist.barrier()
    return report
