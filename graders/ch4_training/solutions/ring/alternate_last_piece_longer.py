import torch


def ring(comm, x):
    size = comm.size
    short = len(x) // size
    bounds = [(i * short, (i + 1) * short) for i in range(size)]
    bounds[-1] = (bounds[-1][0], len(x))
    total = {comm.rank: x[slice(*bounds[comm.rank])].clone()}
    travelling = total[comm.rank]
    index = comm.rank
    # First journey: what arrives is a piece to which my own numbers are still missing.
    for _ in range(size - 1):
        work = comm.isend(travelling, (comm.rank + 1) % size)
        travelling = comm.recv((comm.rank + size - 1) % size)
        work.wait()
        index = (index - 1) % size
        travelling = travelling + x[slice(*bounds[index])]
    # Second journey: what arrives is complete.
    total[index] = travelling
    for _ in range(size - 1):
        work = comm.isend(travelling, (comm.rank + 1) % size)
        travelling = comm.recv((comm.rank + size - 1) % size)
        work.wait()
        index = (index - 1) % size
        total[index] = travelling
    return torch.cat([total[i] for i in range(size)])
