// A pool of threads that runs the iterations of a loop in parallel, and balances them by work stealing.
//
// One call of `parallel_for` is a loop of n tasks. Each thread, the caller among them, is given a contiguous range of
// these tasks and runs it from the front, so that a task can prefetch what the next one reads. A thread that has
// finished its own range steals tasks from the ends of the other ranges. No thread therefore waits for one that has not
// woken up yet.
//
// The pool serves one caller at a time. A second caller that arrives meanwhile runs all its tasks on its own thread.
//
// A thread that has run out of tasks spins for some 0.2 ms before it sleeps: the loops of a decoder follow each other
// within microseconds, and waking a thread takes longer than many of these loops.

#pragma once

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <system_error>
#include <thread>

#include "simd.hpp"

namespace {

class ThreadPool {
  public:
    // Return the only pool of the process. It is never destroyed, because its threads run until the process ends.
    static ThreadPool& instance() {
        static ThreadPool* const pool = new ThreadPool;
        return *pool;
    }

    // Call body(i) for i from 0 to n - 1 on up to `n_threads` threads, of which the calling thread is one. Return when
    // all calls have returned. `body` must not throw, and must not assume an order of the calls.
    template <class Body>
    void parallel_for(int64_t n, int64_t n_threads, const Body& body) {
        const int64_t n_ranges = std::min({n, n_threads, MAX_THREADS});
        if (n_ranges < 2 || n > MAX_TASKS || is_busy_.exchange(true, std::memory_order_acquire)) {
            for (int64_t i = 0; i < n; i++) body(i);
            return;
        }
        start_threads(n_ranges - 1);
        run_task_ = [](const void* erased, int64_t i) { (*static_cast<const Body*>(erased))(i); };
        body_ = &body;
        n_unfinished_.store(n, std::memory_order_relaxed);
        n_ranges_.store(n_ranges, std::memory_order_relaxed);
        for (int64_t i = 0; i < n_ranges; i++)
            ranges_[i].assign(part_start(n, i, n_ranges), part_start(n, i + 1, n_ranges));
        // The stores to the ranges, this load, and the accesses of a thread that goes to sleep are sequentially
        // consistent: either this thread sees that the other one sleeps, or the other one sees its tasks first.
        if (n_asleep_.load() > 0) {
            const std::lock_guard<std::mutex> lock(mutex_);
            tasks_assigned_.notify_all();
        }
        run_tasks(CALLER);
        for (int spin = 0; n_unfinished_.load(std::memory_order_acquire) > 0; spin++)
            spin < MAX_SPINS ? _mm_pause() : std::this_thread::yield();
        is_busy_.store(false, std::memory_order_release);
    }

    // Call body(row) for each of n rows as `parallel_for` does, several rows in one task, because one row is too little
    // work for a task of its own.
    template <class Body>
    void parallel_for_rows(int64_t n, int64_t n_threads, const Body& body) {
        const int64_t n_tasks = ceil_div(n, ROWS_PER_TASK);
        parallel_for(n_tasks, n_threads, [&](int64_t i) {
            for (int64_t row = part_start(n, i, n_tasks); row < part_start(n, i + 1, n_tasks); row++) body(row);
        });
    }

  private:
    static constexpr int64_t ROWS_PER_TASK = 32;
    static constexpr int64_t MAX_TASKS = INT32_MAX, MAX_THREADS = 256;
    static constexpr int64_t CALLER = 0;  // index of the range of the calling thread
    static constexpr int64_t NO_TASK = -1;
    static constexpr int MAX_SPINS = 10'000;  // a spin takes some 20 nanoseconds

    // The tasks of one thread that no thread has claimed yet: those from `first` to `end` - 1. Both numbers are in one
    // atomic integer, so that threads can claim from both ends without a lock. A claimed task keeps `parallel_for` from
    // returning, so that the claiming thread may read `run_task_` and `body_` until it has finished that task.
    //
    // A range is aligned to 128 bytes, because processors fetch cache lines in pairs: two ranges in the same pair would
    // move between the cores at each claim (false sharing).
    class alignas(128) TaskRange {
      public:
        void assign(int64_t first, int64_t end) { tasks_.store(end << 32 | first); }
        bool has_tasks() const { return count(tasks_.load()) > 0; }

        // Return the claimed task, or NO_TASK if none is left.
        int64_t claim_first() {
            return claim([](uint64_t tasks) { return tasks + 1; }, [](uint64_t tasks) { return first(tasks); });
        }
        int64_t claim_last() {
            return claim([](uint64_t tasks) { return tasks - (1ull << 32); },
                         [](uint64_t tasks) { return end(tasks) - 1; });
        }

      private:
        std::atomic<uint64_t> tasks_{0};  // `end` in the upper 32 bits, `first` in the lower ones

        static int64_t first(uint64_t tasks) { return tasks & UINT32_MAX; }
        static int64_t end(uint64_t tasks) { return tasks >> 32; }
        static int64_t count(uint64_t tasks) { return end(tasks) - first(tasks); }

        // `without_claimed` gives the range that is left, `claimed` the task that was removed from it.
        template <class WithoutClaimed, class Claimed>
        int64_t claim(const WithoutClaimed& without_claimed, const Claimed& claimed) {
            uint64_t tasks = tasks_.load(std::memory_order_acquire);
            while (count(tasks) > 0)
                if (tasks_.compare_exchange_weak(tasks, without_claimed(tasks), std::memory_order_acq_rel,
                                                 std::memory_order_acquire))
                    return claimed(tasks);
            return NO_TASK;
        }
    };

    std::array<TaskRange, MAX_THREADS> ranges_;
    alignas(64) std::atomic<int64_t> n_unfinished_{0};
    alignas(64) std::atomic<bool> is_busy_{false};
    std::atomic<int> n_asleep_{0};
    std::atomic<int64_t> n_ranges_{0};
    void (*run_task_)(const void*, int64_t) = nullptr;
    const void* body_ = nullptr;
    int64_t n_started_ = 0;
    std::mutex mutex_;
    std::condition_variable tasks_assigned_;

    // Start threads until there are n. If the system refuses to start one, those that there are run all tasks.
    void start_threads(int64_t n) try {
        for (; n_started_ < n; n_started_++)
            std::thread(&ThreadPool::run_thread, this, CALLER + 1 + n_started_).detach();
    } catch (const std::system_error&) {
    }

    // Run tasks whenever there are some, until the process ends.
    void run_thread(int64_t index) {
        const TaskRange& own_range = ranges_[index];
        for (;;) {
            run_tasks(index);
            for (int spin = 0; spin < MAX_SPINS && !own_range.has_tasks(); spin++) _mm_pause();
            if (own_range.has_tasks()) continue;
            std::unique_lock<std::mutex> lock(mutex_);
            n_asleep_++;
            tasks_assigned_.wait(lock, [&] { return own_range.has_tasks(); });
            n_asleep_--;
        }
    }

    // Run the tasks of a thread's own range, then steal from the other ranges, beginning with the next thread's.
    void run_tasks(int64_t index) {
        int64_t n_done = 0, task;
        for (; (task = ranges_[index].claim_first()) != NO_TASK; n_done++) run_task_(body_, task);
        n_unfinished_.fetch_sub(n_done, std::memory_order_acq_rel);
        const int64_t n_ranges = n_ranges_.load(std::memory_order_relaxed);
        for (int64_t i = 1; i < n_ranges; i++)
            while ((task = ranges_[(index + i) % n_ranges].claim_last()) != NO_TASK) {
                run_task_(body_, task);
                n_unfinished_.fetch_sub(1, std::memory_order_acq_rel);
            }
    }
};

}  // namespace
