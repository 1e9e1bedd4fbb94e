#include "plan/threads.h"

#include <chrono>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace sb {
namespace {

// Long enough to bridge the gap between two steps of a plan, or a step that does not divide; short enough not
// to burn a core between two runs. A pause takes from 5 to 50 ns, so that the clock decides.
constexpr std::chrono::microseconds kSpinning{100};
constexpr int kPausesPerLook = 32;

void pause() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#endif
}

void wait_while(const std::atomic<std::uint32_t>& value, std::uint32_t old) {
  const auto end = std::chrono::steady_clock::now() + kSpinning;
  do {
    for (int i = 0; i < kPausesPerLook; ++i) {
      if (value.load(std::memory_order_acquire) != old) return;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  value.wait(old, std::memory_order_acquire);
}

std::atomic<std::uint32_t> forks{0};

void count_forks() {
#if defined(__unix__) || defined(__APPLE__)
  static const int registered = pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1); });
  (void)registered;
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  count_forks();
  forks_at_start_ = forks.load();
  try {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { serve(i); });
  } catch (...) {
    stop_ = true;
    generation_.fetch_add(1);
    generation_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    throw;
  }
}

ThreadPool::~ThreadPool() {
  stop_ = true;
  generation_.fetch_add(1);
  generation_.notify_all();
  // A forked child has the objects of the threads, not the threads.
  for (std::thread& worker : workers_) forked() ? worker.detach() : worker.join();
}

bool ThreadPool::forked() const { return forks.load(std::memory_order_relaxed) != forks_at_start_; }

void ThreadPool::share(std::size_t count, Call call, const void* context) {
  if (count == 0) return;
  if (count == 1 || workers_.empty() || forked() || !busy_.try_lock()) {
    for (std::size_t i = 0; i < count; ++i) call(context, i, 0);
    return;
  }
  const std::lock_guard lock(busy_, std::adopt_lock);
  count_ = count, call_ = call, context_ = context;
  next_.store(0, std::memory_order_relaxed);
  unfinished_.store(static_cast<std::uint32_t>(workers_.size()), std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  take(0);
  for (std::uint32_t left = unfinished_.load(std::memory_order_acquire); left > 0;
       left = unfinished_.load(std::memory_order_acquire))
    wait_while(unfinished_, left);
}

void ThreadPool::take(int thread) {
  for (std::size_t i = next_.fetch_add(1, std::memory_order_relaxed); i < count_;
       i = next_.fetch_add(1, std::memory_order_relaxed))
    call_(context_, i, thread);
}

void ThreadPool::serve(int thread) {
  for (std::uint32_t seen = 0;;) {
    wait_while(generation_, seen);
    seen = generation_.load(std::memory_order_acquire);
    if (stop_.load()) return;
    take(thread);
    if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished_.notify_all();
  }
}

}  // namespace sb
