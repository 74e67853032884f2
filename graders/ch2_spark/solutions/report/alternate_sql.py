def report(orders, customers, countries):
    return orders.sparkSession.sql(
        """
        WITH people AS (
          SELECT customer_id, max_by(name, version) AS name, max_by(country, version) AS country
          FROM {customers} GROUP BY customer_id
        ), labels AS (
          SELECT country, max_by(label, version) AS label FROM {countries} GROUP BY country
        )
        SELECT /*+ BROADCAST(l), SHUFFLE_HASH(p) */ o.order_id, o.amount, p.name, l.label
        FROM {orders} o
        LEFT JOIN people p ON o.customer_id = p.customer_id
        LEFT JOIN labels l ON p.country = l.country
        """,
        orders=orders,
        customers=customers,
        countries=countries,
    )
