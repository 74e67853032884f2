def ring(comm, x):
    p, r = comm.size, comm.rank
    right, left = (r + 1) % p, (r - 1) % p
    total, travelling = x.clone(), x
    for _ in range(p - 1):
        work = comm.isend(travelling, right)
        travelling = comm.recv(left)
        work.wait()
        total += travelling
    return total
