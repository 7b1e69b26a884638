"""Large collections of pictures: shards, Parquet files, Ray Data."""
