def pca_stream(x, k):
    """One block after the other, without a graph over all of them."""
    d = x.shape[1]
    if not 1 <= k <= d:
        raise ValueError(k)
    n, mean, scatter = 0, np.zeros(d), np.zeros((d, d))
    for i in range(x.numblocks[0]):
        block = x.blocks[i].compute()
        own = block.mean(axis=0)
        delta, total = own - mean, n + len(block)
        scatter += (block - own).T @ (block - own)
        scatter += np.outer(delta, delta) * n * len(block) / total
        mean = mean + delta * len(block) / total
        n = total
    return mean, np.linalg.eigh(scatter)[1][:, ::-1][:, :k].T
