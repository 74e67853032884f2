"""The course as data. `docs/author.md` says what may stand here."""

course = {
    "id": "shardwork",
    "title": "Large-scale data processing and distributed machine learning",
    "languages": ["en", "ja"],
    "isolation": "bubblewrap",
    "assignments": [
        {
            "name": "ch2_spark",
            "title": "Apache Spark",
            "due": "2027-01-15T23:59:59+09:00",
            "seed": 20261,
            "exercises": [
                {
                    "name": "key_stats",
                    "points": 5,
                    "minutes": 35,
                    "track": "core",
                    "weights": {
                        "test_values": 2,
                        "test_small_shuffle": 2,
                        "test_one_shuffle": 2,
                        "test_lazy": 2,
                    },
                },
                {
                    "name": "salted_join",
                    "points": 6,
                    "minutes": 45,
                    "track": "full",
                    "weights": {
                        "test_join_values": 3,
                        "test_join_spread": 2,
                        "test_join_price": 2,
                        "test_sum_values": 2,
                        "test_sum_spread": 2,
                    },
                },
                {
                    "name": "profile",
                    "points": 5,
                    "minutes": 25,
                    "track": "full",
                    "weights": {
                        "test_one_pass": 3,
                        "test_level": 2,
                        "test_nothing_left_after_an_error": 2,
                        "test_what_belongs_to_others": 2,
                    },
                },
            ],
            "written": [{"name": "choose_layout", "points": 4, "minutes": 15, "track": "core"}],
            "limits": {"cell_s": 60, "call_s": 30, "total_s": 600, "memory_mb": 4096},
            "cluster": {"spark_master": "local[2]"},
        },
        {
            "name": "ch3_dask",
            "title": "Dask",
            "due": "2027-01-29T23:59:59+09:00",
            "seed": 20262,
            "exercises": [
                {
                    "name": "plan_chunks",
                    "points": 5,
                    "minutes": 25,
                    "track": "core",
                    "weights": {
                        "test_budget": 3,
                        "test_few_blocks": 2,
                        "test_one_step": 2,
                        "test_nothing_computed": 2,
                    },
                },
                {
                    "name": "tree",
                    "points": 5,
                    "minutes": 30,
                    "track": "core",
                    "weights": {
                        "test_values_and_order": 2,
                        "test_nothing_runs_while_building": 2,
                        "test_depth": 3,
                        "test_fan_in": 2,
                    },
                },
                {
                    "name": "two_reports",
                    "points": 5,
                    "minutes": 30,
                    "track": "full",
                    "weights": {
                        "test_values": 2,
                        "test_one_load_per_file": 2,
                        "test_loads_in_tasks": 2,
                        "test_one_run": 3,
                        "test_table_once": 3,
                    },
                },
                {
                    "name": "smooth",
                    "points": 5,
                    "minutes": 35,
                    "track": "full",
                    "weights": {
                        "test_values": 4,
                        "test_neighbours": 2,
                        "test_nothing_computed": 2,
                    },
                },
                {
                    "name": "top_k",
                    "points": 5,
                    "minutes": 40,
                    "track": "full",
                    "weights": {
                        "test_values": 2,
                        "test_partial_results": 3,
                        "test_computes_nothing": 2,
                        "test_meta": 2,
                    },
                },
            ],
            "written": [{"name": "choose_cluster", "points": 4, "minutes": 15, "track": "core"}],
            "limits": {"cell_s": 40, "call_s": 20, "total_s": 400, "memory_mb": 3072},
        },
        {
            "name": "ch4_training",
            "title": "Distributed deep learning",
            "due": "2027-02-12T23:59:59+09:00",
            "seed": 20263,
            "exercises": [
                {
                    "name": "dp_grads",
                    "points": 5,
                    "minutes": 30,
                    "track": "core",
                    "weights": {
                        "test_uneven_shards": 2,
                        "test_different_weights": 2,
                        "test_unused_parameters": 2,
                    },
                },
            ],
            "limits": {"cell_s": 40, "call_s": 20, "total_s": 400, "memory_mb": 4096},
        },
    ],
}
