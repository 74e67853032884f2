def train(rank, world, cfg):
    from torch.nn.parallel import DistributedDataParallel
    from torch.utils.data import DataLoader, DistributedSampler

    replica = DistributedDataParallel(cfg.model)
    optimizer = cfg.make_optimizer(replica.parameters())
    sampler = DistributedSampler(cfg.dataset, world, rank, shuffle=True, seed=cfg.seed)
    loader = DataLoader(cfg.dataset, batch_size=cfg.batch_size, sampler=sampler)

    steps, losses = 0, []
    for epoch in range(cfg.epochs):
        sampler.set_epoch(epoch)
        total = 0.0
        for number, (x, y) in enumerate(loader):
            first = number - number % cfg.accumulate
            group = min(cfg.accumulate, len(loader) - first)
            last = number == first + group - 1
            loss = cfg.loss(replica(x), y)
            (loss / group).backward()
            total += loss.item()
            if last:
                optimizer.step()
                optimizer.zero_grad()
                steps += 1
        losses.append(total / len(loader))
    if rank == 0:
        torch.save(cfg.model.state_dict(), cfg.checkpoint)
    return {"steps": steps, "losses": losses}
