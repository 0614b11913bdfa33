#include "core/readahead/read_depth.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <random>

#include "tests/core/support/check.h"

namespace npyfast {
namespace {

using namespace std::chrono_literals;

constexpr double kRowBytes = 4096;

// A device, and who reads from it.
struct Device {
  // Bytes a second at a depth.
  std::function<double(int)> rate;
  ReadDepth depth{32, ReadDepth::TimePoint{}};
  ReadDepth::TimePoint now{};
  int smallest = 1 << 20;
  int largest = 0;
  double depth_sum = 0;
  int64_t steps = 0;

  void Run(std::chrono::milliseconds time, bool busy = true) {
    smallest = 1 << 20;
    largest = 0;
    depth_sum = 0;
    steps = 0;
    constexpr auto kStep = 5ms;
    for (const auto end = now + time; now < end;) {
      now += kStep;
      depth.Read(static_cast<int64_t>(rate(depth.depth()) * 0.005), busy, now);
      CHECK(ReadDepth::kLeast <= depth.depth() && depth.depth() <= ReadDepth::kMost);
      smallest = std::min(smallest, depth.depth());
      largest = std::max(largest, depth.depth());
      depth_sum += depth.depth();
      ++steps;
    }
  }
  double average() const { return depth_sum / static_cast<double>(steps); }
};

// More reads in flight make it faster, up to some number of them.
std::function<double(int)> Saturates(int at) {
  return [at](int depth) { return 50'000 * kRowBytes * std::min(depth, at) / at; };
}

TEST(ReadDepth, FindsTheLeastThatSaturates) {
  for (const int at : {12, 32, 64, 100, 150}) {
    Device device{Saturates(at)};
    device.Run(20s);
    device.Run(20s);
    CHECK(device.average() >= at * 0.8);
    CHECK(device.average() <= at * 1.7);
  }
}

TEST(ReadDepth, StaysWithinItsLimits) {
  Device never{[](int depth) { return 1e6 * depth; }};
  never.Run(30s);
  never.Run(10s);
  CHECK_EQ(never.largest, ReadDepth::kMost);
  CHECK(never.average() > ReadDepth::kMost * 0.9);
  Device always{[](int) { return 1e9; }};
  always.Run(60s);
  always.Run(10s);
  CHECK_EQ(always.smallest, ReadDepth::kLeast);
  CHECK(always.average() < ReadDepth::kLeast * 2);
  // A device that delivers nothing at all.
  Device dead{[](int) { return 0.0; }};
  dead.Run(10s);
}

// Where more reads make it slower.
TEST(ReadDepth, GoesDownWhereFewerAreBetter) {
  Device device{[](int depth) { return 1e9 / (1 + 0.02 * std::abs(depth - 10)); }};
  device.Run(60s);
  device.Run(10s);
  CHECK(device.average() < 16);
}

TEST(ReadDepth, FollowsADeviceThatChanges) {
  Device device{Saturates(128)};
  device.Run(20s);
  device.Run(10s);
  CHECK(device.average() > 100);
  device.rate = Saturates(16);
  device.Run(60s);
  device.Run(10s);
  CHECK(device.average() < 30);
  device.rate = Saturates(128);
  device.Run(60s);
  device.Run(10s);
  CHECK(device.average() > 100);
}

TEST(ReadDepth, WhenItIsNotBusyNothingIsLearned) {
  Device device{Saturates(200)};
  const int before = device.depth.depth();
  device.Run(10s, false);
  CHECK_EQ(device.smallest, before);
  CHECK_EQ(device.largest, before);
  // One moment of an interval is enough.
  ReadDepth depth{32, ReadDepth::TimePoint{}};
  ReadDepth::TimePoint now{};
  for (int i = 1; i < 1000; ++i) {
    now += 10ms;
    depth.Read(i * 1000, i % 5 != 0, now);
    CHECK_EQ(depth.depth(), before);
  }
}

// Rates differ by some percent from one interval to the next, as those of disks do.
TEST(ReadDepth, NoiseDoesNotLeadItAway) {
  std::mt19937_64 random(3);
  std::normal_distribution<double> noise(1, 0.05);
  const auto exact = Saturates(64);
  Device device{[&](int depth) { return exact(depth) * noise(random); }};
  device.Run(60s);
  device.Run(120s);
  // Nearly all that the device can do.
  CHECK(device.average() > 45);
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
