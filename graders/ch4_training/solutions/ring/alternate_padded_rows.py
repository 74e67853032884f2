import torch


def ring(comm, x):
    # Fill the tensor up with zeros, so that every piece is a row of equal length.
    p, me = comm.size, comm.rank
    width = -(-len(x) // p)
    rows = torch.zeros(p * width, dtype=x.dtype)
    rows[: len(x)] = x
    rows = rows.view(p, width)
    for s in range(2 * (p - 1)):
        out = comm.isend(rows[(me - s) % p], (me + 1) % p)
        got = comm.recv((me - 1) % p)
        out.wait()
        if s < p - 1:
            rows[(me - s - 1) % p] += got
        else:
            rows[(me - s - 1) % p] = got
    return rows.flatten()[: len(x)]
