import torch

from shardwork.lab import hvd


def train_hvd(cfg):
    hvd.init()
    size = hvd.size()
    model = cfg["model"]
    optimizer = torch.optim.SGD(model.parameters(), lr=cfg["lr"], momentum=cfg["momentum"])

    # Everything there is to know goes through one broadcast of an object.
    checkpoint = cfg["resume"] or {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": 0,
    }
    checkpoint = hvd.broadcast_object(checkpoint, root_rank=0)
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])

    batches = list(zip(cfg["X"].split(cfg["batch"]), cfg["y"].split(cfg["batch"])))
    step = checkpoint["epoch"] * len(batches)
    for _ in range(checkpoint["epoch"], cfg["epochs"]):
        for X, y in batches:
            done = 1.0 if cfg["warmup"] == 0 else min(step / cfg["warmup"], 1.0)
            optimizer.param_groups[0]["lr"] = (1 - done) * cfg["lr"] + done * cfg["lr"] * size
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(model(X), y).backward()
            for parameter in model.parameters():
                parameter.grad = hvd.allreduce(parameter.grad)
            optimizer.step()
            step += 1

    with torch.no_grad():
        squares = (model(cfg["X_val"]) - cfg["y_val"]) ** 2
    return {"loss": hvd.allgather(squares).mean().item()}
