#include <atomic>
#include <cstdint>
#include <cstring>
#include <string>

#include "tensorflow/kernel.h"
#include "tensorflow/philox.h"

namespace npyfast::tf {
namespace {

// Finds which iteration of a dataset this is.
//
// tf.data has no counter that a graph could read. But RandomDatasetV2, told to rerandomize, starts
// each iteration with different numbers, always the same ones in the k-th, and its state is part of
// every checkpoint. From the first two numbers of an iteration, the op finds k. Each dataset has
// its own seeds, which tell its checkpoints from those of others.
class IterationKernel {
 public:
  explicit IterationKernel(const Attributes& attributes)
      : seed_(static_cast<uint64_t>(attributes.Int("seed"))),
        seed2_(static_cast<uint64_t>(attributes.Int("seed2"))),
        file_(attributes.String("file")) {}

  void Compute(TF_OpKernelContext* context) {
    const Tensor input = GetInput(context, 0);
    if (Api().TF_TensorElementCount(input.get()) != 2)
      throw StatusError(TF_INVALID_ARGUMENT, "npyfast: an iteration is known by two numbers");
    int64_t numbers[2];
    std::memcpy(numbers, Api().TF_TensorData(input.get()), sizeof numbers);
    Buffer found = AcquireBuffer(sizeof(int64_t));
    const int64_t iteration = Find(numbers[0], numbers[1]);
    std::memcpy(found.get(), &iteration, sizeof iteration);
    const Tensor output = AdoptBuffer(TF_INT64, {}, std::move(found));
    const Status status;
    Api().TF_SetOutput(context, 0, output.get(), status.get());
    status.Check();
  }

 private:
  // TensorFlow takes milliseconds to begin an iteration, so as many as these take a day. All are
  // tried before a foreign checkpoint is refused, which takes less than a second.
  static constexpr int64_t kMaxIterations = int64_t{1} << 24;
  static constexpr int64_t kNear = 64;

  int64_t Find(int64_t first, int64_t second) {
    const auto is = [&](int64_t iteration) {
      // TensorFlow derives the generator's seeds from the dataset's.
      const auto k = static_cast<uint64_t>(iteration);
      const std::array<uint32_t, 4> seeds = Philox(seed_, seed2_, k / 2);
      const std::array<uint32_t, 4> numbers = Philox(seeds[k % 2 * 2], seeds[k % 2 * 2 + 1], 0);
      return numbers[0] == first && numbers[1] == second;
    };
    const int64_t near = last_.load(std::memory_order_relaxed);
    for (int64_t k = near; k < near + kNear; ++k) {
      if (is(k)) return Remember(k);
    }
    for (int64_t k = 0; k < kMaxIterations; ++k) {
      if (is(k)) return Remember(k);
    }
    // Numbers of another dataset: loading the library checked that this TensorFlow draws the known
    // ones.
    throw ForeignCheckpoint(file_);
  }

  int64_t Remember(int64_t iteration) {
    last_.store(iteration, std::memory_order_relaxed);
    return iteration;
  }

  const uint64_t seed_;
  const uint64_t seed2_;
  const std::string file_;        // for errors
  std::atomic<int64_t> last_{0};  // where the search begins; never changes its result
};

}  // namespace

void RegisterIterationOp() {
  RegisterOp({.name = "NpyfastIteration",
              .inputs = {"numbers: int64"},
              .outputs = {"iteration: int64"},
              .attributes = {"seed: int", "seed2: int", "file: string"},
              .create = CreateKernel<IterationKernel>,
              .compute = ComputeKernel<IterationKernel>,
              .destroy = DestroyKernel<IterationKernel>});
}

}  // namespace npyfast::tf
