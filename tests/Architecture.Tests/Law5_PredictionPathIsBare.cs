using System.Reflection;
using NetArchTest.Rules;

namespace Architecture.Tests;

/// <summary>Law 5: the prediction path names no MediatR, Marten or FluentValidation type.</summary>
public sealed class Law5_PredictionPathIsBare
{
    [Fact]
    public void The_prediction_path_names_no_mediator_store_or_validator()
    {
        var inference = typeof(Platform.Inference.InferenceModule).Assembly;
        Types.InAssembly(inference).That().ResideInNamespaceMatching(@"^Platform\.Inference\.Predict(\.|$)").GetTypes().Count().ShouldBeGreaterThan(10);
        Heavy(inference, @"^Platform\.Inference\.Predict(\.|$)").ShouldHold();
    }

    [Fact]
    public void The_store_on_the_prediction_path_is_noticed() => Heavy(House.Broken.Assembly, @"^Platform\.Broken\.Predict(\.|$)").ShouldContain("Platform.Broken.Predict.SlowPath");

    private static IEnumerable<string> Heavy(Assembly assembly, string @namespace) =>
        Types.InAssembly(assembly).That().ResideInNamespaceMatching(@namespace).ShouldNot().HaveDependencyOnAny("MediatR", "Marten", "FluentValidation").GetResult().FailingTypeNames ?? [];
}
