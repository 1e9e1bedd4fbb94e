// A few threads that share the work of one plan.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace sb {

// Parts of the work are claimed one by one, so that the caller does whatever no helper has begun, and waits
// for parts in progress only. Where helpers do not come, or hold the caller up, because their cores are
// taken by other work, it leaves them in peace for a while.
class ThreadPool {
 public:
  // `threads` counts the calling thread. Throws std::system_error when the system gives no more threads.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }
  // Threads to divide work for at the moment: 1 while the helpers are left in peace.
  int ready() const;

  // Calls work(index, thread) once for every index below `count`, thread below `threads()`; returns when all
  // are done. When another caller has the workers, or after a fork, this thread does it all.
  template <class Work>
  void run(std::size_t count, const Work& work) {
    const auto call = [](const void* context, std::size_t index, int thread) {
      (*static_cast<const Work*>(context))(index, thread);
    };
    share(count, call, &work);
  }

 private:
  using Call = void (*)(const void* context, std::size_t index, int thread);
  using Nanoseconds = std::int64_t;

  void share(std::size_t count, Call call, const void* context);
  void serve(int thread);
  std::size_t take(int thread);
  void judge(std::size_t taken, std::size_t helped, Nanoseconds own, Nanoseconds waited);
  bool forked() const;

  std::vector<std::thread> workers_;
  std::mutex busy_;
  std::atomic<std::uint32_t> signal_{0};  // counts what helpers are woken for
  // The number of the job, and which of its parts nobody has claimed. While there are any, the four below do
  // not change: who claims a part has read those of its job.
  std::atomic<std::uint64_t> ticket_{0};
  std::atomic<std::size_t> count_{0};
  std::atomic<Call> call_{nullptr};
  std::atomic<const void*> context_{nullptr};
  std::atomic<int> caller_core_{-1};
  std::atomic<std::uint32_t> done_{0};
  std::atomic<bool> stop_{false};
  std::atomic<Nanoseconds> rest_until_{0};
  Nanoseconds alone_ = 0;   // spent on jobs that no helper joined, since one did
  Nanoseconds credit_ = 0;  // saved by helpers
  Nanoseconds rest_;        // how long the next one is when none comes
  std::uint32_t forks_at_start_;
};

}  // namespace sb
