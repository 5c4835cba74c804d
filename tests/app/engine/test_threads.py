import threading

import torch

from app.engine.threads import Threads


def test_a_forward_pass_alone_has_all_threads_and_one_beside_others_its_share() -> None:
    threads, shares = Threads(4), []

    def run(inner: int) -> None:
        with threads.shared():
            shares.append(torch.get_num_threads())
            if inner:
                other = threading.Thread(target=run, args=(inner - 1,))
                other.start()
                other.join()

    run(5)
    assert shares == [4, 2, 1, 1, 1, 1]
    shares.clear()
    run(0)
    assert shares == [4]
