import torch
import torch.nn.functional as F

from shardwork.lab import hvd


def train_hvd(cfg):
    hvd.init()
    model = cfg["model"]
    opt = torch.optim.SGD(model.parameters(), lr=cfg["lr"], momentum=cfg["momentum"])
    opt = hvd.DistributedOptimizer(opt, named_parameters=model.named_parameters())

    start = 0
    if hvd.rank() == 0 and cfg["resume"] is not None:
        model.load_state_dict(cfg["resume"]["model"])
        opt.load_state_dict(cfg["resume"]["optimizer"])
        start = cfg["resume"]["epoch"]
    start = hvd.broadcast(torch.tensor(start), root_rank=0).item()
    hvd.broadcast_parameters(model.state_dict(), root_rank=0)
    hvd.broadcast_optimizer_state(opt, root_rank=0)

    X, y, batch = cfg["X"], cfg["y"], cfg["batch"]
    steps_per_epoch = (len(X) + batch - 1) // batch
    for epoch in range(start, cfg["epochs"]):
        for k in range(steps_per_epoch):
            for group in opt.param_groups:
                group["lr"] = cfg["lr"]
            rows = slice(k * batch, (k + 1) * batch)
            opt.zero_grad()
            F.mse_loss(model(X[rows]), y[rows]).backward()
            opt.step()

    with torch.no_grad():
        loss = F.mse_loss(model(cfg["X_val"]), cfg["y_val"])
    n = torch.tensor(float(len(cfg["X_val"])))
    total = hvd.allreduce(loss * n, op=hvd.Sum, name="loss")
    rows = hvd.allreduce(n, op=hvd.Sum, name="rows")
    return {"loss": (total / rows).item()}
