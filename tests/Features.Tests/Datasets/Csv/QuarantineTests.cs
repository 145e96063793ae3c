using Sylvan.Data.Csv;

namespace Features.Tests.Datasets.Csv;

public class QuarantineTests
{
    private static IEnumerable<string> Faults(ReadCsv read) => read.Content.FirstFaults.Select(fault => $"{fault.Line}: {fault.Reason}");

    [Fact]
    public void Ragged_rows_are_set_aside_with_their_line()
    {
        var read = ReadCsv.Of("a,b,c\n1,2,3\n1,2\n4,5,6\n1,2,3,4\n7,8,9\n");

        read.Canonical.ShouldBe("a,b,c\n1,2,3\n4,5,6\n7,8,9\n");
        Faults(read).ShouldBe(["3: the row has 2 values and the header 3 columns", "5: the row has 4 values and the header 3 columns"]);
    }

    [Theory]
    [InlineData("\n")]
    [InlineData("\r\n")]
    [InlineData("\r")]
    public void Lines_are_counted_as_an_editor_counts_them(string newline)
    {
        var csv = string.Join(newline, "", "id,note", "1,\"one\ntwo\r\nthree\"", "", "bad", "2,x", "3,y", "");

        Faults(ReadCsv.Of(csv)).ShouldBe([$"7: the row has 1 value and the header 2 columns"]);
    }

    [Fact]
    public void Values_may_hold_line_breaks_delimiters_and_quotes()
    {
        var read = ReadCsv.Of("id,note\n1,\"first\nsecond, \"\"quoted\"\"\"\n2,42\" screen\n");

        read.Canonical.ShouldBe("id,note\n1,\"first\nsecond, \"\"quoted\"\"\"\n2,\"42\"\" screen\"\n");
    }

    [Fact]
    public void A_quote_that_is_never_closed_costs_its_own_line_and_no_other()
    {
        var read = ReadCsv.Of("id,note\n1,a\n2,\"open\n3,c\n4,d\n");

        Faults(read).ShouldBe(["3: a quote is opened and never closed"]);
        read.Canonical.ShouldBe("id,note\n1,a\n3,c\n4,d\n");
    }

    [Fact]
    public void A_stray_quote_before_quoted_rows_costs_its_own_line_and_no_other()
    {
        var read = ReadCsv.Of("id,note\n1,\"a\"\n2,\"open\n3,\"c\"\n4,\"d\"\n");

        Faults(read).ShouldBe(["3: there is text after a closing quote; a quote inside a quoted value is written twice"]);
        read.Canonical.ShouldBe("id,note\n1,a\n3,c\n4,d\n");
    }

    [Fact]
    public void Values_and_rows_over_their_limit_are_set_aside_and_reading_goes_on()
    {
        var limits = ReadCsv.Limits with { MaxFieldChars = 200_000, MaxRowChars = 400_000 };
        var longValue = new string('x', 200_001);
        var part = new string('y', 150_000);

        var read = ReadCsv.Of($"id,a,b,c\n1,{longValue},b,c\n2,\"{longValue}\",b,c\n3,{part},{part},{part}\n4,\"{longValue}\n5,a,b,c\n6,a,b,c\n7,a,b,c\n8,a,b,c\n", limits);

        Faults(read).ShouldBe([
            "2: a value is longer than 200000 characters",
            "3: a value is longer than 200000 characters, or its quote is not closed",
            "4: the row is longer than 400000 characters",
            "5: a value is longer than 200000 characters, or its quote is not closed",
        ]);
        read.Content.Rows.ShouldBe(4);
        read.Quarantine.Length.ShouldBeLessThan(6_000);
    }

    [Fact]
    public void A_NUL_is_set_aside_and_not_kept_anywhere()
    {
        var read = ReadCsv.Of("id,note\n1,a\n2,b\0c\n3,d\n");

        Faults(read).ShouldBe(["3: the row holds a NUL character"]);
        read.Quarantine.ShouldNotContain("\0");
    }

    [Fact]
    public void Rows_without_any_value_are_set_aside_and_blank_lines_are_no_rows()
    {
        var read = ReadCsv.Of("a,b\n1,2\n,NA\n\n   \n3,4\n");

        (read.Content.Rows, read.Content.Quarantined).ShouldBe((2, 1));
        Faults(read).ShouldBe(["3: every value of the row is missing"]);
    }

    [Fact]
    public void The_quarantine_is_a_csv_of_line_column_reason_and_row()
    {
        var read = ReadCsv.Of("id,price\n" + ReadCsv.Many(400, "\"a\",1") + "\"x, y\",\"dear\"\n");

        using var rows = CsvDataReader.Create(new StringReader(read.Quarantine));
        rows.Read().ShouldBeTrue();
        Enumerable.Range(0, 4).Select(rows.GetName).ShouldBe(["line", "column", "reason", "row"]);
        Enumerable.Range(0, 4).Select(rows.GetString).ShouldBe(["402", "price", "'dear' is not a number", "\"x, y\",\"dear\""]);
        rows.Read().ShouldBeFalse();
    }

    [Fact]
    public void A_file_with_more_bad_rows_than_good_ones_is_refused_and_lists_the_first_twenty()
    {
        var refusal = ReadCsv.Of("a,b\n" + ReadCsv.Many(29, "1,2") + ReadCsv.Many(30, "1")).Refusal;

        refusal.Code.ShouldBe("too-many-bad-rows");
        refusal.Detail.ShouldStartWith("30 of 59 rows are bad.");
        refusal.Errors.Count.ShouldBe(20);
        refusal.Errors[0].Field.ShouldBe("file");
        refusal.Errors[0].Detail.ShouldBe("Line 31: the row has 1 value and the header 2 columns.");
    }

    [Fact]
    public void Half_of_the_rows_may_be_bad_and_an_operator_may_allow_fewer()
    {
        var csv = "a,b\n" + ReadCsv.Many(10, "1,2") + ReadCsv.Many(10, "1");

        ReadCsv.Of(csv).Content.Rows.ShouldBe(10);
        ReadCsv.Of(csv, ReadCsv.Limits with { MaxBadShare = 0.1 }).Refusal.Code.ShouldBe("too-many-bad-rows");
    }

    [Fact]
    public void Bad_values_name_their_column_in_the_refusal()
    {
        var refusal = ReadCsv.Of("id,n\na,1\n" + ReadCsv.Many(5, "a,inf")).Refusal;

        refusal.Errors[0].Field.ShouldBe("n");
        refusal.Errors[0].Detail.ShouldBe("Line 3, column 'n': 'inf' is infinite or too large for a number.");
    }

    [Fact]
    public void Quotes_that_would_have_a_file_read_over_and_over_are_refused()
    {
        // Every line leaves a quote open that the next line closes and opens again: each row would be searched to its limit.
        var columns = string.Join(',', Enumerable.Range(0, 2_000).Select(i => $"c{i}"));
        var csv = $"{columns}\n" + ReadCsv.Many(200_000, "x\",\"y") + "\"\"z";

        ReadCsv.Of(csv, ReadCsv.Limits with { MaxRowChars = 65_536 }).Refusal.Code.ShouldBe("unbalanced-quotes");
    }
}
