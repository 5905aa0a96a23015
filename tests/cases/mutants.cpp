#include "tests/cases/mutants.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/shared_out.hpp"

namespace posetape {
namespace {

constexpr Index kSmall = 1000;  // elements of a case's inputs: larger cases add time, not sharpness

struct Rows {
  Index count;
  Index width;
};

// A tensor as rows of its last axis; a vector is one row, a scalar one element.
Rows rows_of(const Tensor& t) {
  const Index width = t.shape().rank() > 0 ? t.shape().back() : 1;
  return {width > 0 ? t.size() / width : 0, width};
}

double mean_of(const double* row, Index width) {
  double sum = 0;
  for (Index i = 0; i < width; ++i) sum += row[i];
  return sum / static_cast<double>(width);
}

// Calls f(row) for each.
template <class F>
void each_row(const Tensor& g, const F& f) {
  const Rows rows = rows_of(g);
  for (Index r = 0; r < rows.count; ++r) f(g.data<double>() + r * rows.width);
}

void apply(Mutation mutation, const Tensor& g) {
  const std::span<double> values = g.values<double>();
  const Rows rows = rows_of(g);
  const auto scaled = [&](double factor) {
    for (double& v : values) v *= factor;
  };
  switch (mutation) {
    case Mutation::flip_sign:
      return scaled(-1);
    case Mutation::double_factor:
      return scaled(2);
    case Mutation::zero:
      return scaled(0);
    case Mutation::slightly_off:
      return scaled(1 + 1e-7);
    case Mutation::drop_term:
      return each_row(g, [&](double* row) {
        const double mean = mean_of(row, rows.width);
        for (Index i = 0; i < rows.width; ++i) row[i] -= mean;
      });
    case Mutation::wrong_axis:
      return each_row(g, [&](double* row) {
        const double mean = mean_of(row, rows.width);
        std::fill_n(row, rows.width, mean * static_cast<double>(rows.width));
      });
    case Mutation::shift_row:
      std::ranges::rotate(values, values.end() - rows.width);
      return;
    case Mutation::reverse_columns:
      return each_row(g, [&](double* row) { std::reverse(row, row + rows.width); });
    case Mutation::lose_tail:
      return each_row(g, [&](double* row) { row[rows.width - 1] = 0; });
    case Mutation::one_element: {
      const auto largest =
          std::ranges::max_element(values, {}, [](double v) { return std::fabs(v); });
      *largest = -*largest;
      return;
    }
    case Mutation::rounded_to_f32:
      for (double& v : values) v = static_cast<float>(v);
      return;
    case Mutation::ignore_add:
      return;
  }
}

// The first check of c that notices what `intercept` plants: "case: check", or empty.
std::string notice(const Case& c, const TensorFunction& f, const Intercept& intercept,
                   Oracle oracle) {
  GradcheckOptions options = c.options;
  options.intercept = intercept;
  for (const Finding& finding : gradcheck(f, c.inputs, options, oracle).findings) {
    if (!finding.passed) return fmt::format("{}: {}", c.name, name(finding.oracle));
  }
  return {};
}

bool fails_anyway(const Case& c) {
  return !notice(c, c.f, {}, Oracle::adjoint).empty() ||
         !notice(c, c.f, {}, Oracle::differences).empty();
}

// The most inputs that a call of `op` has in these cases.
int inputs_of(Op op, const std::vector<Case>& all) {
  std::size_t most = 0;
  for (const Case& c : all) {
    Tape tape;
    for (const Tensor& x : c.inputs) {
      if (x.defined() && x.dtype() != DType::i32) tape.watch(x);
    }
    const Recording on(tape);
    c.f(c.inputs);
    for (const Node& node : tape.nodes()) {
      if (node.op == op) most = std::max(most, node.inputs.size());
    }
  }
  return static_cast<int>(most);
}

// The mutants that are no errors, each with its proof.
std::string proof_of_equivalence(Op op, int input, Mutation mutation) {
  if (op == Op::softmax && input == 0 && mutation == Mutation::drop_term) {
    return "the mean over a row of y_i (dy_i - sum_k y_k dy_k) is zero, because the y_i add up to "
           "1";
  }
  const bool of_logits = op == Op::log_softmax || op == Op::cross_entropy;
  if (of_logits && input == 0 && mutation == Mutation::drop_term) {
    return "the gradient of a row adds up to zero, because adding a number to all of it changes "
           "nothing";
  }
  return {};
}

Mutant run_mutant(Op op, int input, Mutation mutation, const std::vector<Case>& all) {
  Mutant mutant;
  mutant.op = name(op);
  mutant.input = input;
  mutant.mutation = mutation;
  mutant.equivalent = proof_of_equivalence(op, input, mutation);
  bool changed = false;
  const Intercept plant = [&](const Node& node, int i, const Tensor& gradient, Into& into) {
    if (node.op == op && i == input) changed = mutate(mutation, gradient, into) || changed;
  };
  for (const Case& c : all) {
    if (!mutant.by_differences.empty() && !mutant.by_exact.empty()) break;
    changed = false;
    // Where the first use changes nothing (there is nothing to overwrite), the second may.
    const TensorFunction twice = used_twice(c.f);
    if (mutant.by_exact.empty()) mutant.by_exact = notice(c, c.f, plant, Oracle::adjoint);
    if (mutant.by_exact.empty() && mutant.by_twice.empty()) {
      mutant.by_twice = notice(c, twice, plant, Oracle::adjoint);
    }
    mutant.exists = mutant.exists || changed;
    if (changed && mutant.by_differences.empty()) {
      const bool needs_two = mutation == Mutation::ignore_add;
      mutant.by_differences = notice(c, needs_two ? twice : c.f, plant, Oracle::differences);
    }
  }
  return mutant;
}

}  // namespace

bool mutate(Mutation mutation, const Tensor& gradient, Into& into) {
  if (gradient.size() == 0) return false;
  if (mutation == Mutation::ignore_add) {
    const bool adds = into == Into::add;
    into = Into::write;
    return adds;
  }
  const Tensor before = gradient.clone();
  apply(mutation, gradient);
  return std::memcmp(before.raw(), gradient.raw(), gradient.bytes()) != 0;
}

std::vector<Mutant> run_mutants(const SuiteOptions& options,
                                const std::function<void(const Mutant&)>& on_mutant) {
  auto selected = selected_cases(options);
  return shared_out<Mutant>(selected.size(), [&](std::size_t number) {
    std::vector<Mutant> mutants;
    auto& [op, small] = selected[number];
    std::erase_if(small, [](const Case& c) { return input_size(c) > kSmall || fails_anyway(c); });
    const int inputs = inputs_of(op, small);
    for (int input = 0; input < inputs; ++input) {
      for (const Choice<Mutation>& mutation : kChoices<Mutation>.list) {
        const Mutant mutant = run_mutant(op, input, mutation.value, small);
        if (!mutant.exists) continue;
        if (on_mutant) on_mutant(mutant);
        mutants.push_back(mutant);
      }
    }
    return mutants;
  });
}

}  // namespace posetape
