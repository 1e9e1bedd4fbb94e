// The pool: every part once, whoever comes; and what it does when helpers do not come, or come late.
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif

#include "check.h"
#include "plan/threads.h"

namespace sb {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

void work_for(std::chrono::microseconds time) {
  for (const auto end = Clock::now() + time; Clock::now() < end;) {
  }
}

void test_every_part_once() {
  for (int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 3; ++caller)
      callers.emplace_back([&pool, threads] {
        for (int repeat = 0; repeat < 300; ++repeat)
          for (std::size_t count : {0, 1, 2, 3, 64}) {
            std::vector<int> times(count);
            pool.run(count, [&](std::size_t index, int thread) {
              if (thread >= 0 && thread < threads) ++times[index];
            });
            for (int n : times) CHECK(n == 1);
          }
      });
    for (std::thread& caller : callers) caller.join();
  }
}

#if defined(__linux__)
// On the only core there is, helpers are of no use: the caller does all, and soon asks no more.
void test_one_core() {
  cpu_set_t before, one;
  CHECK(sched_getaffinity(0, sizeof before, &before) == 0);
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
  {
    ThreadPool pool(2);
    CHECK(pool.ready() == 2);
    bool asked = true;
    for (int repeat = 0; repeat < 100 && asked; ++repeat) {
      pool.run(2, [](std::size_t, int thread) {
        CHECK(thread == 0);
        work_for(std::chrono::microseconds(100));
      });
      asked = pool.ready() == 2;
    }
    CHECK(!asked);
  }
  CHECK(sched_setaffinity(0, sizeof before, &before) == 0);
}
#endif

// A helper that takes far longer than the caller is not asked again at once, but is in the end.
void test_a_slow_helper_rests() {
  if (std::thread::hardware_concurrency() < 2) return;
  ThreadPool pool(2);
  std::atomic<bool> came{false};
  for (const auto end = Clock::now() + milliseconds(2000); !came && Clock::now() < end;)
    pool.run(2, [&](std::size_t, int thread) {
      if (thread == 0) {
        for (const auto wait = Clock::now() + milliseconds(2); !came && Clock::now() < wait;) {
        }
      } else {
        came = true;
        work_for(milliseconds(5));
      }
    });
  if (!came) return;  // the other cores are taken
  CHECK(pool.ready() == 1);
  for (const auto end = Clock::now() + milliseconds(2000); pool.ready() == 1 && Clock::now() < end;)
    std::this_thread::sleep_for(milliseconds(1));
  CHECK(pool.ready() == 2);
}

}  // namespace
}  // namespace sb

int main() {
  sb::test_every_part_once();
#if defined(__linux__)
  sb::test_one_core();
#endif
  sb::test_a_slow_helper_rests();
  return sb::test::finish();
}
