"""How often and by how many threads models are looked after."""

from dataclasses import dataclass

from keras_attn.serving.server.flags import Options


@dataclass(frozen=True)
class Pace:
    """How often and by how many threads things are done.

    Args:
        poll_seconds: Between looks at the folders; 0 looks once, negative never.
        retries: How often a failing load is tried again.
        retry_seconds: Between two such tries.
        load_threads: Versions loaded at a time; with 0 nothing else goes on meanwhile.
        unload_threads: The same for closing them.
    """

    poll_seconds: float = 1
    retries: int = 5
    retry_seconds: float = 60
    load_threads: int = 0
    unload_threads: int = 0

    @classmethod
    def of(cls, options: Options) -> "Pace":
        return cls(
            options.file_system_poll_wait_seconds,
            options.max_num_load_retries,
            options.load_retry_interval_micros / 1e6,
            options.num_load_threads,
            options.num_unload_threads,
        )
