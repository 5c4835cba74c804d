// Threads that help whoever computes. One caller has them at a time; another works alone meanwhile.
//
// A task is a number of items. Each thread has a range of them, one item after the other, so that it can fetch what the
// next one needs; whoever has done its own takes the last items of others' ranges. So nobody waits for a thread that has
// not come yet. A helper watches for the next task for a moment before it sleeps: those of a decoder are microseconds
// apart, and to wake a thread takes longer than many of them.

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

#include "vectors.hpp"

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
        const int64_t n_ranges = std::min({n, n_threads, MOST_THREADS});
        if (n_ranges < 2 || n > MOST_ITEMS || is_taken_.exchange(true, std::memory_order_acquire)) {
            for (int64_t i = 0; i < n; i++) work(i);
            return;
        }
        hire(n_ranges - 1);
        run_ = [](const void* work, int64_t i) { (*static_cast<const Work*>(work))(i); };
        work_ = &work;
        left_.store(n, std::memory_order_relaxed);
        n_ranges_.store(n_ranges, std::memory_order_relaxed);
        for (int64_t i = 0; i < n_ranges; i++) ranges_[i].open(part(n, i, n_ranges), part(n, i + 1, n_ranges));
        if (n_asleep_.load() > 0) {
            const std::lock_guard<std::mutex> lock(mutex_);
            awake_.notify_all();
        }
        labour(CALLER);
        for (int turn = 0; left_.load(std::memory_order_acquire) > 0; turn++)
            turn < PATIENCE ? _mm_pause() : std::this_thread::yield();
        is_taken_.store(false, std::memory_order_release);
    }

    // The same for n rows, of which each takes so little that a thread does some at a time.
    template <class Work>
    void share_rows(int64_t n, int64_t n_threads, const Work& work) {
        const int64_t n_parts = parts_of(n, ROWS_AT_A_TIME);
        share(n_parts, n_threads, [&](int64_t i) {
            for (int64_t r = part(n, i, n_parts); r < part(n, i + 1, n_parts); r++) work(r);
        });
    }

  private:
    static constexpr int64_t ROWS_AT_A_TIME = 32;
    static constexpr int64_t MOST_ITEMS = INT32_MAX, MOST_THREADS = 256, CALLER = 0, NONE = -1;
    static constexpr int PATIENCE = 10'000;  // turns, of some twenty nanoseconds

    // Items that nobody has claimed, from a first one up to an end. Whoever claims one may read all else about the task,
    // which stays as it is until that item is done.
    // On 128 bytes, for processors fetch lines in pairs: threads would take two ranges in one of them from one another.
    class alignas(128) Range {
      public:
        void open(int64_t first, int64_t end) { items_.store(end << 32 | first); }
        bool has_some() const { return n_items(items_.load()) > 0; }
        int64_t claim_first() {
            return claim([](uint64_t items) { return items + 1; }, [](uint64_t items) { return first(items); });
        }
        int64_t claim_last() {
            return claim([](uint64_t items) { return items - (1ull << 32); },
                         [](uint64_t items) { return end(items) - 1; });
        }

      private:
        std::atomic<uint64_t> items_{0};

        static int64_t first(uint64_t items) { return items & UINT32_MAX; }
        static int64_t end(uint64_t items) { return items >> 32; }
        static int64_t n_items(uint64_t items) { return end(items) - first(items); }

        template <class Rest, class Item>
        int64_t claim(const Rest& rest, const Item& item) {
            uint64_t items = items_.load(std::memory_order_acquire);
            while (n_items(items) > 0)
                if (items_.compare_exchange_weak(items, rest(items), std::memory_order_acq_rel,
                                                 std::memory_order_acquire))
                    return item(items);
            return NONE;
        }
    };

    std::array<Range, MOST_THREADS> ranges_;
    alignas(64) std::atomic<int64_t> left_{0};
    alignas(64) std::atomic<bool> is_taken_{false};
    std::atomic<int> n_asleep_{0};
    std::atomic<int64_t> n_ranges_{0};
    void (*run_)(const void*, int64_t) = nullptr;
    const void* work_ = nullptr;
    int64_t n_hired_ = 0;
    std::mutex mutex_;
    std::condition_variable awake_;

    // As many as the system gives: a task gets done with fewer as well.
    void hire(int64_t n) try {
        for (; n_hired_ < n; n_hired_++) std::thread(&Team::help, this, CALLER + 1 + n_hired_).detach();
    } catch (const std::system_error&) {
    }

    void help(int64_t me) {
        const Range& mine = ranges_[me];
        for (;;) {
            labour(me);
            for (int turn = 0; turn < PATIENCE && !mine.has_some(); turn++) _mm_pause();
            if (mine.has_some()) continue;
            std::unique_lock<std::mutex> lock(mutex_);
            n_asleep_++;
            awake_.wait(lock, [&] { return mine.has_some(); });
            n_asleep_--;
        }
    }

    // Its own items, then what is left of those of others, from the next thread's on.
    void labour(int64_t me) {
        int64_t n_done = 0, item;
        for (; (item = ranges_[me].claim_first()) != NONE; n_done++) run_(work_, item);
        left_.fetch_sub(n_done, std::memory_order_acq_rel);
        const int64_t n_ranges = n_ranges_.load(std::memory_order_relaxed);
        for (int64_t i = 1; i < n_ranges; i++)
            while ((item = ranges_[(me + i) % n_ranges].claim_last()) != NONE) {
                run_(work_, item);
                left_.fetch_sub(1, std::memory_order_acq_rel);
            }
    }
};

}  // namespace
