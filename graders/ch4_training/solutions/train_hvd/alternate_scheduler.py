import torch
from torch import nn

from shardwork.lab import hvd


def train_hvd(cfg):
    hvd.init()
    root = hvd.rank() == 0
    model, resume, W = cfg["model"], cfg["resume"], cfg["warmup"]
    optimizer = hvd.DistributedOptimizer(
        torch.optim.SGD(model.parameters(), cfg["lr"] * hvd.size(), momentum=cfg["momentum"])
    )
    if root and resume:
        model.load_state_dict(resume["model"])
        optimizer.load_state_dict(resume["optimizer"])
    hvd.broadcast_optimizer_state(optimizer, 0)
    hvd.broadcast_parameters(list(model.parameters()), 0)
    first = hvd.broadcast_object(resume["epoch"] if root and resume else 0)

    batches = [
        (cfg["X"][i : i + cfg["batch"]], cfg["y"][i : i + cfg["batch"]])
        for i in range(0, len(cfg["X"]), cfg["batch"])
    ]
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"] = cfg["lr"]
    p = hvd.size()
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda t: p if t >= W else 1 + (p - 1) * t / W,
        last_epoch=first * len(batches) - 1,
    )
    loss = nn.MSELoss()
    for _ in range(first, cfg["epochs"]):
        for X, y in batches:
            loss(model(X), y).backward()
            optimizer.synchronize()
            with optimizer.skip_synchronize():
                optimizer.step()
            scheduler.step()
            optimizer.zero_grad()

    with torch.no_grad():
        pair = torch.stack(
            [
                nn.functional.mse_loss(model(cfg["X_val"]), cfg["y_val"], reduction="sum"),
                torch.tensor(cfg["y_val"].numel(), dtype=torch.float64),
            ]
        )
    total, count = hvd.allreduce(pair, op=hvd.Sum).tolist()
    return {"loss": total / count}
