// Threads that help whoever computes. One caller has them at a time; another works alone meanwhile.
//
// A task is a number of items. All who work on it claim some, the caller as well, until none is left: nobody waits for
// a thread that has not come yet. A helper watches for the next task for a moment before it sleeps: those of a decoder
// are microseconds apart, and to wake a thread takes longer than many of them.

#pragma once

#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <system_error>
#include <thread>

namespace {

class Team {
  public:
    // There is one. It is never destroyed, for its threads run until the process ends.
    static Team& instance() {
        static Team* const team = new Team;
        return *team;
    }

    // work(i) for i of 0 to n - 1, on so many threads at most, this one among them.
    template <class Work>
    void share(int64_t n, int64_t n_threads, const Work& work) {
        const int64_t n_helpers = std::min({n, n_threads, MOST_THREADS}) - 1;
        if (n_helpers < 1 || n > NUMBER || is_taken_.exchange(true, std::memory_order_acquire)) {
            for (int64_t i = 0; i < n; i++) work(i);
            return;
        }
        hire(n_helpers);
        run_ = [](const void* work, int64_t i) { (*static_cast<const Work*>(work))(i); };
        work_ = &work;
        left_.store(n, std::memory_order_relaxed);
        task_.store(n_helpers << 2 * BITS | n << BITS);
        if (n_asleep_.load() > 0) {
            const std::lock_guard<std::mutex> lock(mutex_);
            awake_.notify_all();
        }
        labour(CALLER);
        for (int turn = 0; left_.load(std::memory_order_acquire) > 0; turn++)
            turn < PATIENCE ? _mm_pause() : std::this_thread::yield();
        is_taken_.store(false, std::memory_order_release);
    }

  private:
    static constexpr int BITS = 27;
    static constexpr int64_t NUMBER = (1 << BITS) - 1, MOST_THREADS = 255, CALLER = -1;
    static constexpr int PATIENCE = 10'000;  // turns, of some twenty nanoseconds

    // Of the task: how many helpers it wants, how many items it has, and how many of them are claimed. All else about
    // it is read by whoever has claimed an item, and stays as it is until that is done.
    alignas(64) std::atomic<int64_t> task_{0};
    alignas(64) std::atomic<int64_t> left_{0};
    alignas(64) std::atomic<bool> is_taken_{false};
    std::atomic<int> n_asleep_{0};
    void (*run_)(const void*, int64_t) = nullptr;
    const void* work_ = nullptr;
    int64_t n_hired_ = 0;
    std::mutex mutex_;
    std::condition_variable awake_;

    // As many as the system gives: a task gets done with fewer as well.
    void hire(int64_t n) try {
        for (; n_hired_ < n; n_hired_++) std::thread(&Team::help, this, n_hired_).detach();
    } catch (const std::system_error&) {
    }

    void help(int64_t helper) {
        for (;;) {
            labour(helper);
            for (int turn = 0; turn < PATIENCE && !has_work(helper); turn++) _mm_pause();
            if (has_work(helper)) continue;
            std::unique_lock<std::mutex> lock(mutex_);
            n_asleep_++;
            awake_.wait(lock, [&] { return has_work(helper); });
            n_asleep_--;
        }
    }

    static int64_t claimed(int64_t task) { return task & NUMBER; }
    static int64_t left(int64_t task) { return (task >> BITS & NUMBER) - claimed(task); }
    static int64_t helpers(int64_t task) { return task >> 2 * BITS; }
    static bool is_for(int64_t helper, int64_t task) { return left(task) > 0 && helper < helpers(task); }

    bool has_work(int64_t helper) const { return is_for(helper, task_.load()); }

    // Claims half of a fair share of what is left, and does it, until nothing is.
    void labour(int64_t helper) {
        int64_t task = task_.load(std::memory_order_acquire);
        while (is_for(helper, task)) {
            const int64_t start = claimed(task), claim = std::max<int64_t>(1, left(task) / (2 * (helpers(task) + 1)));
            if (!task_.compare_exchange_weak(task, task + claim, std::memory_order_acq_rel, std::memory_order_acquire))
                continue;
            for (int64_t i = start; i < start + claim; i++) run_(work_, i);
            left_.fetch_sub(claim, std::memory_order_acq_rel);
            task = task_.load(std::memory_order_acquire);
        }
    }
};

}  // namespace
