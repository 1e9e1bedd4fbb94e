// A few threads that share the work of one plan.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace sb {

class ThreadPool {
 public:
  // `threads` counts the calling thread. Throws std::system_error when the system gives no more threads.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

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

  void share(std::size_t count, Call call, const void* context);
  void serve(int thread);
  void take(int thread);
  bool forked() const;

  std::vector<std::thread> workers_;
  std::mutex busy_;
  std::atomic<std::uint32_t> generation_{0};
  std::atomic<std::uint32_t> unfinished_{0};
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> stop_{false};
  std::size_t count_ = 0;
  Call call_ = nullptr;
  const void* context_ = nullptr;
  std::uint32_t forks_at_start_;
};

}  // namespace sb
