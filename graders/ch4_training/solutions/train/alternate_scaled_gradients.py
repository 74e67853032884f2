from pathlib import Path

import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler


def train(rank, world, cfg):
    model = DistributedDataParallel(cfg.model, bucket_cap_mb=0.0005)
    optimizer = cfg.make_optimizer(list(model.parameters()))
    sampler = DistributedSampler(cfg.dataset, seed=cfg.seed, drop_last=True)
    loader = DataLoader(cfg.dataset, cfg.batch_size, sampler=sampler)
    steps = 0
    losses = []
    for epoch in range(1, cfg.epochs + 1):
        model.train()
        sampler.set_epoch(epoch)
        waiting = []
        mean = torch.zeros(1, dtype=torch.float64)

        def update(waiting):
            for x, y in waiting[:-1]:
                with model.no_sync():
                    value = cfg.loss(model(x), y)
                    value.backward()
                mean.add_(value.detach())
            x, y = waiting[-1]
            value = cfg.loss(model(x), y)
            value.backward()
            mean.add_(value.detach())
            for parameter in model.parameters():
                parameter.grad /= len(waiting)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        for batch in loader:
            waiting.append(batch)
            if len(waiting) == cfg.accumulate:
                update(waiting)
                steps += 1
                waiting = []
        if waiting:
            update(waiting)
            steps += 1
        losses.append((mean / len(loader)).item())
        # The mean over all ranks, for the log.
        dist.all_reduce(mean)
        if rank == 0:
            print(epoch, mean.item() / world / len(loader))
            torch.save(cfg.model.state_dict(), cfg.checkpoint + ".part")
            Path(cfg.checkpoint + ".part").rename(cfg.checkpoint)
    # Every rank looks at what was written.
    dist.barrier()
    saved = torch.load(cfg.checkpoint)
    for name, value in cfg.model.state_dict().items():
        assert torch.equal(saved[name], value)
    return {"losses": losses, "steps": steps}
