def ring(comm, x):
    """Pieces travel to the left, in place; empty pieces do not travel; waits at the very end."""
    p, r, n = comm.size, comm.rank, x.numel()
    cuts = [n * i // p for i in range(p + 1)]
    down, up = (r - 1) % p, (r + 1) % p
    begun = []

    def piece(i):
        return x[cuts[i % p] : cuts[i % p + 1]]

    def step(send, receive, add):
        if piece(send).numel():
            begun.append(comm.isend(piece(send), down))
        if piece(receive).numel():
            got = comm.recv(up)
            piece(receive).copy_(piece(receive) + got if add else got)

    for s in range(p - 1):  # piece r is complete at rank r in the end
        step(r + s + 1, r + s + 2, add=True)
    for s in range(p - 1):
        step(r + s, r + s + 1, add=False)
    for work in begun:
        work.wait()
    return x
