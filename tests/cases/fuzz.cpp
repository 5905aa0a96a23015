#include "tests/cases/fuzz.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>

#include "engine/error.hpp"
#include "kernels/base/parallel.hpp"
#include "kernels/base/use_isa.hpp"
#include "tests/cases/call_errors.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/shared_out.hpp"
#include "tests/cases/verdicts.hpp"

namespace posetape {
namespace {

// Puts the instruction set back.
struct RestoredIsa {
  Isa isa = cpu_isa();
  ~RestoredIsa() { use_isa(isa); }
};

// Those that the processor has, up to the one in use.
std::vector<Isa> instruction_sets() {
  std::vector<Isa> all;
  for (const IsaChoice& choice : isa_choices()) {
    if (choice.built && choice.there && choice.isa <= cpu_isa()) all.push_back(choice.isa);
  }
  return all;
}

std::optional<Op> op_of(const std::string& wanted) {
  if (wanted.empty()) return {};
  for (int i = 0; i < kOps; ++i) {
    if (name(static_cast<Op>(i)) == wanted) return static_cast<Op>(i);
  }
  fail("no op '{}'", wanted);
}

// What a check says; an Error is a failure.
Opinion ask(const ProgramCheck& check, const Program& p, const Setting& s) {
  try {
    return check.run(p, s);
  } catch (const Error& error) {
    Opinion opinion;
    opinion.failure = error.what();
    opinion.statements = "  f(leaves);\n  return 0;\n";
    return opinion;
  }
}

std::string whole_source(const FuzzFailure& failure, const Program& p, const Opinion& opinion) {
  return fmt::format(
      "// Of posetape gradcheck --fuzz 1 --seed {}: {} in {} on {} ({}).\n"
      "#include <cmath>\n"
      "#include <cstdio>\n"
      "\n"
      "#include \"engine/gradcheck.hpp\"\n"
      "#include \"engine/ops.hpp\"\n"
      "#include \"engine/recompute.hpp\"\n"
      "#include \"engine/tape.hpp\"\n"
      "\n"
      "using namespace posetape;\n"
      "\n"
      "int main() {{\n{}{}}}\n",
      failure.seed, failure.check, failure.dtype, failure.device, failure.isa, source(p),
      opinion.statements);
}

class Fuzzer {
 public:
  explicit Fuzzer(const FuzzOptions& options)
      : options_(options), op_(op_of(options.op)), isas_(instruction_sets()) {
    for (const ProgramCheck& check : program_checks()) report_.tallies.push_back({check.name});
  }

  FuzzReport run() {
    const RestoredIsa restored;
    const auto start = std::chrono::steady_clock::now();
    // Each rank has every R-th program.
    for (std::int64_t number = ranks().rank();
         number < options_.programs && report_.failures.size() < options_.most_failures;
         number += ranks().size()) {
      const std::uint64_t seed = options_.seed + static_cast<std::uint64_t>(number);
      one_program(seed);
      one_call(seed);
      ++report_.programs;
      if (options_.on_program) options_.on_program(number + 1, report_.failures.size());
    }
    if (!ranks().alone()) bring_together();
    for (const auto& [key, loss] : losses_) report_.losses.push_back(loss);
    report_.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return std::move(report_);
  }

 private:
  Setting setting(std::uint64_t seed) const {
    Random random(seed, Stream::test, 99);
    constexpr DType kTypes[] = {DType::f64, DType::f32, DType::bf16};
    Setting s;
    s.seed = seed;
    s.device = options_.device;
    s.dtype = kTypes[random.below(3)];
    s.isa = isas_[random.below(static_cast<std::uint32_t>(isas_.size()))];
    return s;
  }

  void one_program(std::uint64_t seed) {
    Program program = draw_program(seed, op_);
    program.spoil = options_.spoil;
    report_.calls += program.calls();
    const Setting drawn = setting(seed);
    use_isa(drawn.isa);
    Random turn(seed, Stream::test, 98);
    for (std::size_t c = 0; c < program_checks().size(); ++c) {
      const ProgramCheck& check = program_checks()[c];
      if (turn.below(static_cast<std::uint32_t>(check.one_in)) != 0) continue;
      if (check.cpu_alone && options_.device != Device::cpu) continue;
      Setting s = drawn;
      if (check.f64_alone) s.dtype = DType::f64;
      const Opinion opinion = ask(check, program, s);
      FuzzTally& tally = report_.tallies[c];
      tally.agreed += opinion.agreed;
      tally.unresolved += opinion.unresolved;
      tally.vacuous += opinion.vacuous;
      if (opinion.failure.empty()) continue;
      tally.failed += 1;
      put_failure(check, program, s);
      return;
    }
  }

  void put_failure(const ProgramCheck& check, const Program& program, const Setting& s) {
    const Program least =
        shrunk(program, [&](const Program& p) { return !ask(check, p, s).failure.empty(); });
    const Opinion opinion = ask(check, least, s);
    FuzzFailure failure{s.seed,      check.name,      name(s.dtype), name(s.device),
                        name(s.isa), opinion.failure, least.calls(), ""};
    failure.source = whole_source(failure, least, opinion);
    report_.failures.push_back(std::move(failure));
  }

  // What a call of leaves alone loses in each type.
  void one_call(std::uint64_t seed) {
    const Op op = op_.value_or(static_cast<Op>(seed % kOps));
    const std::optional<Program> program = draw_call(op, seed);
    if (!program) return;
    const Step& call = program->steps.back();
    use_isa(setting(seed).isa);
    for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
      for (const CallError& e : value_errors(*program, call, dtype, options_.device)) {
        put_loss(op, dtype, e, seed);
      }
      if (dtype == DType::f64) continue;
      for (const CallError& e : gradient_errors(*program, call, dtype, options_.device)) {
        put_loss(op, dtype, e, seed);
      }
    }
  }

  using Key = std::tuple<Op, int, DType>;
  void put_loss(Op op, DType dtype, const CallError& e, std::uint64_t seed) {
    FuzzLoss& loss = losses_[{op, e.operand, dtype}];
    const bool first = loss.calls++ == 0;
    if (!first && e.ulp <= loss.ulp) return;
    loss = {op, e.operand, dtype, loss.calls, e.ulp, e.known, seed, e.passed};
  }

  // What every rank has found, in the order of the programs.
  void bring_together() {
    Packed own;
    own(report_.programs);
    own(report_.calls);
    own(std::uint64_t{losses_.size()});
    for (auto& [key, loss] : losses_) own(loss);
    for (FuzzTally& tally : report_.tallies) each_number(tally, own);
    own(std::uint64_t{report_.failures.size()});
    for (FuzzFailure& failure : report_.failures) each_field(failure, own);
    report_.programs = report_.calls = 0;
    report_.failures.clear();
    for (FuzzTally& tally : report_.tallies) tally = {tally.check};
    losses_.clear();
    for (const std::string& bytes : ranks().gather(own.bytes)) add(Unpacked(bytes));
    std::ranges::stable_sort(report_.failures, {}, &FuzzFailure::seed);
    if (report_.failures.size() > options_.most_failures) {
      report_.failures.resize(options_.most_failures);
    }
  }

  void add(Unpacked results) {
    const auto next = [&]<class T>(T value) {
      results(value);
      return value;
    };
    report_.programs += next(std::int64_t{0});
    report_.calls += next(std::int64_t{0});
    for (std::uint64_t left = next(std::uint64_t{0}); left > 0; --left) {
      const FuzzLoss loss = next(FuzzLoss());
      FuzzLoss& worst = losses_[{loss.op, loss.input, loss.dtype}];
      const std::int64_t calls = worst.calls + loss.calls;
      // Of equal ones the first program's, as one rank alone keeps it.
      const bool later = loss.ulp < worst.ulp || (loss.ulp == worst.ulp && loss.seed > worst.seed);
      if (worst.calls == 0 || !later) worst = loss;
      worst.calls = calls;
    }
    for (FuzzTally& tally : report_.tallies) {
      FuzzTally other;
      each_number(other, results);
      tally.agreed += other.agreed;
      tally.failed += other.failed;
      tally.unresolved += other.unresolved;
      tally.vacuous += other.vacuous;
    }
    for (std::uint64_t left = next(std::uint64_t{0}); left > 0; --left) {
      each_field(report_.failures.emplace_back(), results);
    }
  }

  template <class G>
  static void each_number(FuzzTally& t, G& g) {
    g(t.agreed);
    g(t.failed);
    g(t.unresolved);
    g(t.vacuous);
  }
  template <class G>
  static void each_field(FuzzFailure& f, G& g) {
    g(f.seed);
    g(f.calls);
    for (std::string* text : {&f.check, &f.dtype, &f.device, &f.isa, &f.note, &f.source}) g(*text);
  }

  const FuzzOptions& options_;
  std::optional<Op> op_;
  std::vector<Isa> isas_;
  FuzzReport report_;
  std::map<Key, FuzzLoss> losses_;
};

}  // namespace

bool FuzzReport::passed() const {
  return failures.empty() && std::ranges::all_of(losses, &FuzzLoss::passed);
}

FuzzReport fuzz(const FuzzOptions& options) {
  return Fuzzer(options).run();
}

}  // namespace posetape
