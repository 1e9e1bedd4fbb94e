#include "plan/threads.h"

#include <algorithm>
#include <chrono>
#include <utility>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace sb {
namespace {

// Long enough to bridge the gap between two steps of a plan, or a step that does not divide; short enough not
// to burn a core between two runs. A pause takes from 5 to 50 ns, so that the clock decides.
constexpr std::int64_t kSpinning = 100'000;
constexpr int kPausesPerLook = 32;
// A helper needs some time to wake. After this much without one, the caller goes on alone for a while, each
// time twice as long.
constexpr std::int64_t kPatience = 500'000, kFirstRest = 1'000'000, kLongestRest = 64'000'000;
// What helpers save is credited to them up to here, so that a little noise does not count; once they have
// cost more, the caller goes on alone for so many times the rest, and so loses no more than that share of its
// time.
constexpr std::int64_t kMostCredit = 1'000'000, kRestPerLoss = 8;
// A ticket: the number of the job, the first part that nobody has claimed, and the end of these.
constexpr int kPartBits = 20;
constexpr std::size_t kMostParts = (std::size_t{1} << kPartBits) - 1;

std::int64_t now() {
  const auto time = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
}

void pause() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#endif
}

// The core that runs this thread, or -1 where the system does not say.
int core() {
#if defined(__linux__)
  return sched_getcpu();
#else
  return -1;
#endif
}

void wait_while(const std::atomic<std::uint32_t>& value, std::uint32_t old, bool spin) {
  for (const std::int64_t end = spin ? now() + kSpinning : 0; end > 0;) {
    for (int i = 0; i < kPausesPerLook; ++i) {
      if (value.load(std::memory_order_acquire) != old) return;
      pause();
    }
    if (now() >= end) break;
  }
  value.wait(old, std::memory_order_acquire);
}

std::atomic<std::uint32_t> forks{0};

void count_forks() {
#if defined(__unix__) || defined(__APPLE__)
  static const int registered = pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1); });
  (void)registered;
#endif
}

std::size_t first_part(std::uint64_t ticket) { return ticket >> kPartBits & kMostParts; }
std::size_t end_part(std::uint64_t ticket) { return ticket & kMostParts; }

}  // namespace

ThreadPool::ThreadPool(int threads) : rest_(kFirstRest) {
  count_forks();
  forks_at_start_ = forks.load();
  try {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { serve(i); });
  } catch (...) {
    stop_ = true;
    signal_.fetch_add(1);
    signal_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    throw;
  }
}

ThreadPool::~ThreadPool() {
  stop_ = true;
  signal_.fetch_add(1);
  signal_.notify_all();
  // A forked child has the objects of the threads, not the threads.
  for (std::thread& worker : workers_) forked() ? worker.detach() : worker.join();
}

bool ThreadPool::forked() const { return forks.load(std::memory_order_relaxed) != forks_at_start_; }

int ThreadPool::ready() const {
  if (workers_.empty() || forked()) return 1;
  return now() < rest_until_.load(std::memory_order_relaxed) ? 1 : threads();
}

void ThreadPool::share(std::size_t count, Call call, const void* context) {
  if (count == 0) return;
  if (count == 1 || count > kMostParts || ready() == 1 || !busy_.try_lock()) {
    for (std::size_t i = 0; i < count; ++i) call(context, i, 0);
    return;
  }
  const std::lock_guard lock(busy_, std::adopt_lock);
  const std::int64_t start = now();
  count_.store(count, std::memory_order_relaxed);
  call_.store(call, std::memory_order_relaxed);
  context_.store(context, std::memory_order_relaxed);
  caller_core_.store(core(), std::memory_order_relaxed);
  done_.store(0, std::memory_order_relaxed);
  const std::uint64_t job = (ticket_.load(std::memory_order_relaxed) >> 2 * kPartBits) + 1;
  ticket_.store(job << 2 * kPartBits | count, std::memory_order_release);
  signal_.fetch_add(1, std::memory_order_release);
  signal_.notify_all();
  const std::size_t taken = take(0);
  const std::int64_t own_end = now();
  for (std::uint32_t done = done_.load(std::memory_order_acquire); done < count;
       done = done_.load(std::memory_order_acquire))
    wait_while(done_, done, true);
  judge(taken, count - taken, own_end - start, taken < count ? now() - own_end : 0);
}

// The caller took `own` for its parts, and would have taken as long for each of the others.
void ThreadPool::judge(std::size_t taken, std::size_t helped, Nanoseconds own, Nanoseconds waited) {
  Nanoseconds rest = 0;
  if (helped > 0) {
    alone_ = 0;
    rest_ = kFirstRest;
    const double saved = static_cast<double>(own) * static_cast<double>(helped) /
                         static_cast<double>(std::max(taken, std::size_t{1}));
    credit_ = std::min(credit_ + static_cast<Nanoseconds>(saved) - waited, kMostCredit);
    if (credit_ < 0) rest = -kRestPerLoss * std::exchange(credit_, 0);
  } else if ((alone_ += own) > kPatience) {
    alone_ = 0;
    rest = rest_;
    rest_ = std::min(2 * rest_, kLongestRest);
  }
  if (rest > 0) rest_until_.store(now() + rest, std::memory_order_relaxed);
}

// The caller from the front and helpers from the back, so that rows stay in the caches of those who made
// them, one job after another.
std::size_t ThreadPool::take(int thread) {
  std::size_t taken = 0;
  for (std::uint64_t ticket = ticket_.load(std::memory_order_acquire);
       first_part(ticket) < end_part(ticket);) {
    const std::size_t count = count_.load(std::memory_order_relaxed);
    const Call call = call_.load(std::memory_order_relaxed);
    const void* context = context_.load(std::memory_order_relaxed);
    const std::uint64_t left = thread == 0 ? ticket + (std::uint64_t{1} << kPartBits) : ticket - 1;
    if (!ticket_.compare_exchange_weak(ticket, left, std::memory_order_acq_rel, std::memory_order_acquire))
      continue;
    call(context, thread == 0 ? first_part(ticket) : end_part(left), thread);
    ++taken;
    if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == count && thread > 0) done_.notify_all();
    ticket = ticket_.load(std::memory_order_acquire);
  }
  return taken;
}

void ThreadPool::serve(int thread) {
  bool spin = true;
  for (std::uint32_t seen = 0;;) {
    wait_while(signal_, seen, spin);
    seen = signal_.load(std::memory_order_acquire);
    if (stop_.load()) return;
    // On the caller's own core a helper only takes its place.
    const int here = core();
    spin = here < 0 || here != caller_core_.load(std::memory_order_relaxed);
    if (spin) take(thread);
  }
}

}  // namespace sb
